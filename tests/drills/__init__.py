"""Drills: long runs in which everything goes wrong, and nothing must be lost.

`python -m tests.drills.sockets` breaks real connections to a simulator in another process, a few
hundred times. `python -m tests.drills.month` lives through a month of faults on a virtual clock.
Both hold what the consumers were given against the market, which is a pure function of its seed
(`witness`). The test suite runs short versions of them.
"""
