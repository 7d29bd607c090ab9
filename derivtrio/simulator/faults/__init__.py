"""Everything that can be made to go wrong, and when.

Imports `protocol` and `network`: what a fault does to a connection is a protocol of its own, so
that the server can import the faults. Begin with `faults`, whose methods are the public ones.
"""
