"""What can be bought, what it costs, and how it ends: pure functions of an order and the market.

Imports `market` and `protocol`. Begin with `orders` and `contract`, then `binaries`, the simplest
family; `families` says which type of contract belongs to which family.
"""
