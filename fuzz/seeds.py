"""Writes the first inputs of every fuzz target, made from the vectors of the chain crate's tests: `seeds.py FOLDER`."""

import json
import pathlib
import sys

data = pathlib.Path(__file__).parent.parent / "chain/tests/it/data"
folder = pathlib.Path(sys.argv[1])

# The headers that a scheme reads, in the order of `names` in src/lib.rs.
NAMES = {
    "btauth": ["version", "hotkey", "nonce", "signature", "receiver", "crypto"],
    "epistula": ["version", "signed-by", "uuid", "timestamp", "request-signature", "signed-for"],
    "chutes": ["nonce", "signature", "hotkey", "validator", "miner"],
    "fiber": ["validator-hotkey", "miner-hotkey", "nonce", "signature", "symmetric-key-uuid"],
    "synapse": [
        "bt_header_dendrite_hotkey",
        "bt_header_axon_hotkey",
        "bt_header_dendrite_nonce",
        "bt_header_dendrite_uuid",
        "computed_body_hash",
        "bt_header_dendrite_signature",
    ],
}
PREFIXES = {"btauth": "x-bittensor-", "epistula": "epistula-", "chutes": "x-chutes-"}


def put(target, name, text):
    (folder / target).mkdir(parents=True, exist_ok=True)
    (folder / target / name.replace(" ", "-").replace("/", "-")).write_bytes(text)


def put_headers(name, headers, body):
    lines = "".join(f"{header}: {value}\n" for header, value in headers.items())
    put("headers", name, f"{lines}\n".encode() + body)
    lower = {header.lower(): value for header, value in headers.items()}
    for target, names in NAMES.items():
        values = [lower.get(PREFIXES.get(target, "") + one) for one in names]
        if sum(value is not None for value in values) >= 3:
            put(target, name, "".join(f"{value or ''}\n" for value in values).encode() + body)
    for header, value in headers.items():
        if value.startswith("5"):
            put("ss58", f"{name} {header}", value.encode())


for vector in json.loads((data / "auth.json").read_text()):
    parts = [bytes.fromhex(vector[part]) for part in ("public_key", "signature", "message")]
    put("signature", vector["name"], bytes([vector["crypto"] == "ed25519"]) + b"".join(parts))
    if "headers" in vector:
        put_headers(vector["name"], vector["headers"], bytes.fromhex(vector["body"]))
for vector in json.loads((data / "btauth.json").read_text()):
    put_headers(vector["name"], vector["headers"], vector["body"].encode())
