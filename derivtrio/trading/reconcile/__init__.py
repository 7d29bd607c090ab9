"""What became of a trade whose reply was lost.

- `outcome`: looks until it is known.
- `investigation`: what is known of one trade, and whom to ask for more.
- `matching`: which of the account's purchases is the one in doubt. No I/O.
- `sales`: whether a contract was ended by the request in doubt.
- `shortcodes`: what a shortcode says of a contract. No I/O.

Begin with `matching`, whose rules are numbered.
"""
