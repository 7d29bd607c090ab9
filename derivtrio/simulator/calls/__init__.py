"""The calls of the API: a request and a session in, messages out, without any I/O.

Imports `sessions` and the folders below it. Begin with `dispatch`, which has the order of the
checks and the table of calls; `service` has the simplest of them.
"""
