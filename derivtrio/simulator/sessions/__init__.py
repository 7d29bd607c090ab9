"""What the server remembers: for each connection, and for all of them together.

Imports the folders below, which it puts together. Begin with `session`; `streams` has the rules
of subscriptions, `rate_limits` those of the budgets.
"""
