"""The two generations of the API, v3 and the Options API.

Everything behind this folder speaks v3; what the Options API calls otherwise is translated here.

- `dialect`: what the server asks of a generation, and both answers to it.
- `options_messages`: requests translated to v3, replies from v3.
- `options_calls`: the calls of the Options API, derived from v3's.

Imports `protocol`. Begin with `dialect`.
"""
