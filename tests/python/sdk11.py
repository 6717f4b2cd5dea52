"""Signs requests with bittensor 11's own http_auth and sends them: `sdk11.py URL SEED RECEIVER UID`. Prints the
statuses, as one JSON object."""

import json
import sys
import urllib.error
import urllib.request

import bittensor as bt
from bittensor_core import Keypair


class Wallet:
    """A hotkey in the shape of a wallet."""

    def __init__(self, seed):
        self.hotkey = self.hotkeypub = Keypair.create_from_uri(seed)
        self.coldkey = self.coldkeypub = self.hotkey


url, seed, receiver, uid = sys.argv[1:]
wallet = Wallet(seed)


def send(method, path, body, headers):
    request = urllib.request.Request(url + path, data=body or None, headers=headers, method=method)
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def signed(method, path, body=b"", to=receiver):
    return bt.http_auth.sign(wallet, method=method, path=path, body=body, receiver_ss58=to)


beat = json.dumps({"capacity": 4, "engines": [], "version": "http_auth"}).encode()
heartbeat = "/api/v1/miner/heartbeat"
mail = f"/api/v1/miners/{uid}/tasks?status=assigned&exclude=&wait=0"
headers = signed("POST", heartbeat, beat)
stranger = Keypair.create_from_uri("//Stranger").ss58_address
print(
    json.dumps(
        {
            "heartbeat": send("POST", heartbeat, beat, headers),
            "replayed": send("POST", heartbeat, beat, headers),
            "mail": send("GET", mail, b"", signed("GET", mail)),
            "tampered body": send("POST", heartbeat, beat.replace(b"4", b"5"), signed("POST", heartbeat, beat)),
            "tampered target": send("GET", mail.replace("wait=0", "wait=1"), b"", signed("GET", mail)),
            "tampered method": send("POST", heartbeat, beat, signed("PUT", heartbeat, beat)),
            "for another": send("GET", mail, b"", signed("GET", mail, to=stranger)),
            "for nobody": send("GET", mail, b"", signed("GET", mail, to=None)),
        }
    )
)
