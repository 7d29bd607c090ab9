"""Drills: long runs in which everything breaks, and nothing may be lost.

- `python -m tests.drills.sockets` breaks a few hundred real connections between a client and a
  simulator in another process.
- `python -m tests.drills.network` breaks the network between two machines (Linux namespaces; root).
- `python -m tests.drills.month` has a month of faults on a virtual clock.
- `python -m tests.drills.trades` attempts ten thousand purchases, also on a virtual clock.
- `python -m tests.drills.interruptions` cancels every operation of a client before every step, or
  drops its connection, or lets its code raise, on a virtual clock.
- `python -m tests.drills.mutations` has a server whose messages are nearly right, on a virtual
  clock; `workload` is what the client does meanwhile.
- `python -m tests.drills.kills` kills a recorder a hundred times, while its connections break.
- `python -m tests.drills.fuzz` feeds bytes that nobody would think of (by hand, with atheris).
- `python -m tests.drills.throughput` measures how many ticks a second a recorder keeps.

The first three compare what the consumers got with the market, which is a pure function of its seed
(`witness`); `kills` compares what is kept. `trades` compares what the client reported with the
account's ledger. The test suite runs short versions of these five, and of `mutations`.
"""
