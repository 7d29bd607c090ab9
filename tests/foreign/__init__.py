"""The simulator, tried by a client that is not ours: Deriv's own `python-deriv-api`, unchanged.

`python -m tests.foreign` makes an environment for it (or finds the one that was made before), runs
it against a simulator on loopback TCP, and holds what it saw against the market and the ledger.
"""
