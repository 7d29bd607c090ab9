"""Money: the accounts, their ledgers, and the broker, which makes every change of them.

Imports `contracts` and the folders below it. Begin with `ledger`, then `broker`.
"""
