"""Drills: long runs in which everything goes wrong, and nothing must be lost.

`python -m tests.drills.sockets` breaks real connections to a simulator in another process, a few
hundred times. `python -m tests.drills.month` lives through a month of faults on a virtual clock.
Both hold what the consumers were given against the market, which is a pure function of its seed
(`witness`). `python -m tests.drills.trades` attempts ten thousand purchases, and holds what the
client reported against the account's ledger. The test suite runs short versions of them.
"""
