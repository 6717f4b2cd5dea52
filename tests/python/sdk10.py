"""Signs requests as the dendrite of bittensor 10 does and sends them: `sdk10.py URL SEED RECEIVER UID`. Prints the
statuses, as one JSON object."""

import json
import sys
import urllib.error
import urllib.request
from typing import ClassVar

import bittensor as bt
from bittensor_wallet import Keypair

# It would ask the world for its own address, which is signed nowhere.
bt.utils.networking.get_external_ip = lambda: "127.0.0.1"

url, seed, receiver, uid = sys.argv[1:]
hotkey = Keypair.create_from_uri(seed)
axon = bt.AxonInfo(version=1, ip="127.0.0.1", port=8091, ip_type=4, hotkey=receiver, coldkey=receiver)


class Mail(bt.Synapse):
    """Signs no field, like most."""


class Heartbeat(bt.Synapse):
    """Signs one field: the whole body."""

    body: str = ""
    required_hash_fields: ClassVar[tuple[str, ...]] = ("body",)


def signed(synapse):
    dendrite = bt.Dendrite(wallet=hotkey)
    ready = dendrite.preprocess_synapse_for_request(axon, synapse, 12.0)
    return ready.to_headers()


def send(method, path, body, headers):
    request = urllib.request.Request(url + path, data=body or None, method=method)
    for name, value in headers.items():
        request.add_header(name, str(value))
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


beat = json.dumps({"capacity": 4, "engines": [], "version": "dendrite"})
heartbeat = "/api/v1/miner/heartbeat"
mail = f"/api/v1/miners/{uid}/tasks?status=assigned&wait=0"
headers = signed(Heartbeat(body=beat))
print(
    json.dumps(
        {
            "heartbeat": send("POST", heartbeat, beat.encode(), headers),
            "replayed": send("POST", heartbeat, beat.encode(), headers),
            "mail": send("GET", mail, b"", signed(Mail())),
            "tampered body": send("POST", heartbeat, beat.replace("4", "5").encode(), signed(Heartbeat(body=beat))),
            "unsigned body": send("POST", heartbeat, beat.encode(), signed(Mail())),
            "no signature": send("GET", mail, b"", signed(Mail()) | {"bt_header_dendrite_signature": ""}),
        }
    )
)
