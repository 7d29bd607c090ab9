"""Prices: a pure function of (seed, symbol, epoch), without a clock and without I/O.

- `market`: all symbols together: ticks, candles, history.
- `price_path`: one symbol. `random_path`: the mathematics.
- `symbols`: the symbols, a row each. `hours`: when their markets are open.
- `symbol_checks`: what every call about a symbol checks first.

Imports `protocol` for its refusals only. Begin with `market`, then read downwards.
"""
