"""What became of a trade whose reply was lost.

- `outcome`: ask, look, judge, and again, until it is known.
- `purchases`, `sales`, `limits`: how to look for a purchase, for the end of a contract, and for
  changed limits.
- `matching`: which of the account's purchases is the one in doubt. No I/O.
- `assignment`: purchases shared out among orders: what is the same however it is done. No I/O.
- `shortcodes`: what a shortcode says about a contract. No I/O.
- `terms`: what an order asks for, in forms that can be compared. No I/O.
- `investigation`: one trade in doubt, and the account to ask about it.
- `timing`: until when a request may still be executed.

Begin with `outcome`; the rules of the decision are in `matching`, and are numbered.
"""
