"""Drives a dev chain with bittensor 10: `sdk10.py URL FOLDER`. Prints what it read, as one JSON object."""

import json
import sys

import bittensor as bt
from bittensor_wallet import Keypair, Wallet


def wallet(folder, name, coldkey, hotkey):
    """A wallet of development keys."""
    made = Wallet(name=name, hotkey="default", path=folder)
    made.set_coldkey(Keypair.create_from_uri(coldkey), encrypt=False, overwrite=True)
    made.set_coldkeypub(Keypair.create_from_uri(coldkey), overwrite=True)
    made.set_hotkey(Keypair.create_from_uri(hotkey), encrypt=False, overwrite=True)
    return made


def succeeded(response):
    assert response.success, response
    return response


url, folder = sys.argv[1:]
sub = bt.Subtensor(network=url)
payer = wallet(folder, "payer", "//Alice", "//Python10")
validator = wallet(folder, "validator", "//Validator2//cold", "//Validator2")

before = sub.get_balance(payer.coldkeypub.ss58_address)
succeeded(sub.burned_register(payer, 1, mev_protection=False))
succeeded(sub.set_weights(validator, 1, uids=[0, 1, 2], weights=[1.0, 3.0, 0.6], mev_protection=False))

head = sub.block
assert sub.wait_for_block(head + 1)
reached = sub.block
block = sub.substrate.get_block_number(sub.substrate.get_chain_finalised_head())
graph = sub.metagraph(1, block=block)
info = sub.get_metagraph_info(1, block=block)
state = sub.neurons_lite(1, block=block)
# The other two scale root stake by a number of their own.
root = sub.query_runtime_api("SubnetInfoRuntimeApi", "get_subnet_state", [1], block=block)["tao_stake"]
values = sub.get_subnet_hyperparameters(1, block=block)
weights = dict(sub.weights(1, block=block))
uid = sub.get_uid_for_hotkey_on_subnet(validator.hotkey.ss58_address, 1, block=block)
cold, hot = validator.coldkeypub.ss58_address, validator.hotkey.ss58_address
delegate = sub.get_delegate_by_hotkey(hot, block=block)
delegates = sub.get_delegates(block=block)
assert sub.is_hotkey_delegate(hot, block=block) and sub.get_delegate_take(hot, block=block) == delegate.take
said = (
    {
        "block": info.block,
        "waited": [head, reached],
        "spec_version": sub.substrate.runtime.runtime_version,
        "tempo": info.tempo,
        "owner_hotkey": info.owner_hotkey,
        "owner_coldkey": info.owner_coldkey,
        "neurons": [
            {
                "uid": int(graph.uids[i]),
                "hotkey": graph.hotkeys[i],
                "coldkey": graph.coldkeys[i],
                "stake": info.total_stake[i].rao,
                "alpha_stake": info.alpha_stake[i].rao,
                "tao_stake": root[i],
                "validator_permit": bool(graph.validator_permit[i]),
                "active": bool(graph.active[i]),
                "registered_at": int(graph.block_at_registration[i]),
                "last_update": int(graph.last_update[i]),
                "incentive": round(float(state[i].incentive) * 65535),
                "dividends": round(float(state[i].dividends) * 65535),
                "consensus": round(float(state[i].consensus) * 65535),
                "emission": info.emission[i].rao,
                "axon": f"{graph.axons[i].ip}:{graph.axons[i].port}" if graph.axons[i].is_serving else None,
            }
            for i in range(graph.n.item())
        ],
        "hyperparameters": dict(values.items()),
        "payer": payer.coldkeypub.ss58_address,
        "paid": before.rao - sub.get_balance(payer.coldkeypub.ss58_address, block=block).rao,
        "balance": sub.get_balance(payer.coldkeypub.ss58_address, block=block).rao,
        "registered": graph.hotkeys.index(payer.hotkey.ss58_address),
        "validator": uid,
        "weights": weights[uid],
        "subnets": [subnet.netuid for subnet in sub.all_subnets(block=block)],
        "price": sub.get_subnet_price(1, block=block).tao,
        "owner": sub.get_hotkey_owner(hot, block=block),
        "netuids": sub.get_netuids_for_hotkey(hot, block=block),
        "staked": sub.get_stake(cold, hot, 1, block=block).rao,
        "children": sub.get_children(hot, 1, block=block)[1],
        "delegates": sorted(each.hotkey_ss58 for each in delegates),
        "delegate": [delegate.owner_ss58, delegate.take, delegate.registrations, delegate.validator_permits],
        "delegated": sorted([each.netuid, each.stake.rao] for each in sub.get_delegated(cold, block=block)),
    }
)

# A subnet of its own, and stake at a price that moves.
founder = wallet(folder, "founder", "//Alice", "//Founder10")
cost = sub.get_subnet_burn_cost()
succeeded(sub.register_subnet(founder, mev_protection=False))
cold, hot = founder.coldkeypub.ss58_address, founder.hotkey.ss58_address
(founded,) = sub.get_netuids_for_hotkey(hot)
succeeded(sub.start_call(founder, founded, mev_protection=False))
quote = sub.sim_swap(0, founded, bt.Balance.from_tao(10))
asked = {"netuid": founded, "tao": 10_000_000_000}
slippage = sub.query_runtime_api("SwapRuntimeApi", "sim_swap_tao_for_alpha", asked)["alpha_slippage"]
price = sub.get_subnet_price(founded).rao
locked = sub.query_subtensor("SubnetLocked", params=[founded])
succeeded(
    sub.add_stake(founder, founded, hot, bt.Balance.from_tao(10), safe_staking=True, rate_tolerance=0.5, mev_protection=False)
)
block = sub.substrate.get_block_number(sub.substrate.get_chain_finalised_head())
info = sub.get_metagraph_info(founded, block=block)
said["founded"] = {
    "netuid": founded,
    "block": block,
    "cost": cost.rao,
    "locked": int(getattr(locked, "value", locked)),
    "owner": info.owner_coldkey,
    "hotkeys": info.hotkeys,
    "quoted": [quote.alpha_amount.rao, quote.tao_fee.rao, slippage],
    "staked": sub.get_stake(cold, hot, founded, block=block).rao,
    "prices": [price, sub.get_subnet_price(founded, block=block).rao],
}
json.dump(said, sys.stdout, default=float)
