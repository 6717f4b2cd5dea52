"""Times the SDK's metagraph of subnet 1: `bench.py URL TIMES`. Prints milliseconds, one line for each."""

import sys
import time
from importlib.metadata import version

import bittensor as bt

url, times = sys.argv[1], int(sys.argv[2])
sub = bt.Subtensor(url)
if version("bittensor").startswith("11."):
    read = lambda: sub.subnets.metagraph(1)
else:
    read = lambda: sub.metagraph(1)
# The first one fetches the metadata.
assert len(read().hotkeys) == 256
for _ in range(times):
    start = time.perf_counter()
    read()
    print((time.perf_counter() - start) * 1000)
