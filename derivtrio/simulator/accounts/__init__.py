"""Money: the accounts, their ledgers, and the broker, which makes every change of them.

- `ledger`: every change of an account's money, and every contract that it bought.
- `broker`: sells contracts, buys them back, and settles them when they end.
- `account`: the accounts of the simulator's one user, and their tokens.
- `one_time_passwords`: what the URL of a connection for an account of the Options API has in it.

Imports `contracts` and the folders below it. Begin with `ledger`, then `broker`.
"""
