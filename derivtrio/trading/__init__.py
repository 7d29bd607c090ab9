"""Orders that end decided.

- `trader`: buy, sell, cancel, update; the account's lists.
- `orders`: the arguments of trades, checked.
- `reconcile/`: what became of an order whose reply was lost. Imported when it is first needed.

Imports: everything below, `supervision` included. Begin with `trader`.
"""
