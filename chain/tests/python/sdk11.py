"""Drives a dev chain with bittensor 11: `sdk11.py URL`. Prints what it read, as one JSON object."""

import json
import sys

import bittensor as bt
from bittensor_core import Keypair


class Wallet:
    """Development keys in the shape of a wallet."""

    def __init__(self, coldkey, hotkey):
        self.coldkey = self.coldkeypub = Keypair.create_from_uri(coldkey)
        self.hotkey = self.hotkeypub = Keypair.create_from_uri(hotkey)


def succeeded(result):
    assert result.success, result
    return result


url = sys.argv[1]
sub = bt.Subtensor(url)
payer = Wallet("//Mallory", "//Python11")
validator = Wallet("//Validator3//cold", "//Validator3")

before = sub.balances.get(payer.coldkey.ss58_address)
# The intent of this name asks for an encrypted pool; the call itself does not.
succeeded(sub.submit_call(bt.calls.SubtensorModule.burned_register(netuid=1, hotkey=payer.hotkey.ss58_address), payer))
succeeded(sub.execute(bt.SetWeights(netuid=1, weights={0: 1.0, 1: 3.0, 2: 0.6}), validator))

# A block that is final and holds both.
head = sub.block
reached = sub.wait_for_block(head + 1)
block = sub.finalized_block
graph = sub.subnets.metagraph(1, block=block)
view = sub.at(block)
uid = graph.by_hotkey(validator.hotkey.ss58_address).uid
cold, hot = validator.coldkey.ss58_address, validator.hotkey.ss58_address
delegate = view.delegation.delegate(hot)
delegates = view.delegation.delegates()
said = (
    {
        "block": graph.block,
        "waited": [head, reached.number],
        "spec_version": sub.spec_version,
        "tempo": graph.tempo,
        "owner_hotkey": graph.owner_hotkey,
        "owner_coldkey": graph.owner_coldkey,
        "neurons": [
            {
                "uid": neuron.uid,
                "hotkey": neuron.hotkey,
                "coldkey": neuron.coldkey,
                "stake": neuron.total_stake.rao,
                "alpha_stake": neuron.alpha_stake.rao,
                "tao_stake": neuron.tao_stake.rao,
                "validator_permit": neuron.validator_permit,
                "active": neuron.active,
                "registered_at": neuron.block_at_registration,
                "last_update": neuron.last_update,
                "incentive": round(neuron.incentive * 65535),
                "dividends": round(neuron.dividends * 65535),
                "consensus": round(neuron.consensus * 65535),
                "emission": neuron.emission.rao,
                "axon": neuron.axon,
            }
            for neuron in graph
        ],
        "hyperparameters": view.read("subnet_hyperparameters", netuid=1),
        "payer": payer.coldkey.ss58_address,
        "paid": before.rao - view.balances.get(payer.coldkey.ss58_address).rao,
        "balance": view.balances.get(payer.coldkey.ss58_address).rao,
        "registered": graph.by_hotkey(payer.hotkey.ss58_address).uid,
        "validator": uid,
        "weights": view.query(bt.storage.SubtensorModule.Weights, [1, uid]),
        "subnets": [subnet.netuid for subnet in view.subnets.subnets()],
        "price": view.prices.alpha_price(1)["tao_per_alpha"],
        "owner": view.neurons.hotkey_owner(hot),
        "netuids": view.neurons.netuids_for_hotkey(hot),
        "staked": view.staking.stake(cold, hot, 1).rao,
        "children": view.delegation.children(hot, 1),
        "delegates": sorted(each.hotkey for each in delegates),
        "delegate": [delegate.owner, delegate.take, delegate.registrations, delegate.validator_permits],
        "delegated": sorted([each.netuid, each.stake.rao] for each in view.delegation.delegated(cold)),
    }
)

# A subnet of its own, and stake at a price that moves.
founder = Wallet("//Alice", "//Founder11")
cost = sub.read("subnet_registration_cost")
founded = succeeded(sub.execute(bt.RegisterSubnet(), founder)).data["netuid"]
succeeded(sub.execute(bt.StartCall(netuid=founded), founder))
quote = sub.read("quote_stake", netuid=founded, amount_tao=10.0)
price = sub.prices.alpha_price(founded)["price_rao"]
call = bt.calls.SubtensorModule.add_stake_limit(
    hotkey=founder.hotkey.ss58_address,
    netuid=founded,
    amount_staked=10_000_000_000,
    limit_price=2_000_000_000,
    allow_partial=False,
)
succeeded(sub.submit_call(call, founder))
block = sub.finalized_block
view = sub.at(block)
graph = sub.subnets.metagraph(founded, block=block)
said["founded"] = {
    "netuid": founded,
    "block": block,
    "cost": cost.rao,
    "locked": view.query(bt.storage.SubtensorModule.SubnetLocked, [founded]),
    "owner": graph.owner_coldkey,
    "hotkeys": [neuron.hotkey for neuron in graph],
    "quoted": [quote.alpha.rao, quote.tao_fee.rao, quote.alpha_slippage.rao],
    "staked": view.staking.stake(founder.coldkey.ss58_address, founder.hotkey.ss58_address, founded).rao,
    "prices": [price, view.prices.alpha_price(founded)["price_rao"]],
}
json.dump(said, sys.stdout)
