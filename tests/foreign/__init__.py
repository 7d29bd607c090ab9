"""A client that is not ours, unchanged, at the simulator: Deriv's own `python-deriv-api`."""
