"""What can be bought, what it costs, and how it ends: pure functions of an order and the market.

- `orders`: the contract that a client asks for, checked.
- `contract`: a contract as data, from its quote to its closing.
- `families`: which type of contract belongs to which family, and what each family can do.
- `binaries`, `accumulators`, `multipliers`: a family each.
- `pricing`: the model behind the prices. `money`, `spots`: amounts, and spot prices in messages.
- `contract_codes`: the longcode and the shortcode.

Imports `market` and `protocol`. Begin with `orders` and `contract`, then `binaries`, the simplest
family.
"""
