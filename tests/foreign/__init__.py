"""Tries the simulator with another client: Deriv's own `python-deriv-api`, unchanged.

`python -m tests.foreign` installs that client in an environment of its own (or uses the one from an
earlier run) and runs it against a simulator on loopback TCP. What the client saw is then compared
with the market, the ledger and Deriv's schemas.

- `driver`: what the client does; runs in that environment.
- `rehearsal`: runs the simulator and the driver.
- `judge`: compares.
"""
