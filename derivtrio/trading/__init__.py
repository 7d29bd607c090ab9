"""Orders that end decided.

- `trader`: what users call: buy, sell, cancel, update, reconcile; the account's lists.
- `trade`: one trade, from its request to its decided end.
- `orders`: the arguments of trades, checked.
- `lists`: portfolio, statement, profit table.
- `reconcile/`: what became of an order whose reply was lost. Imported when it is first needed.

Imports: everything below, `supervision` included. Begin with `trade`.
"""
