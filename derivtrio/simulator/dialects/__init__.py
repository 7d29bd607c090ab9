"""The two generations of the API, v3 and the Options API.

Everything behind this folder speaks v3; what the Options API calls otherwise is translated here.
Imports `protocol`. Begin with `dialect`.
"""
