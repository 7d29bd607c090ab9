"""Prices: a pure function of (seed, symbol, epoch), without a clock and without I/O.

Imports `protocol` for its refusals only. Begin with `market`, then read downwards: `price_path`
is one symbol, `random_path` the mathematics.
"""
