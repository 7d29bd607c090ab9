"""Everything that can be made to go wrong, and when.

- `faults`: the public methods, one for each fault.
- `schedule`: faults at given times, written as text or drawn from a seed.
- `handshake_faults`: what happens to an attempt, in place of a normal handshake.
- `request_faults`: what happens to a request and its reply.
- `malformations`: messages with a member that is wrong.
- `stream_mutes`: which subscriptions are mute from their beginning.
- `fault_target`: what a fault can do to a live connection.
- `checks`: the arguments of faults, checked.

Imports `protocol`, `network`, and the names of the symbols from `market`: what a fault does to a
connection is a protocol of its own, so that the server can import the faults. Begin with `faults`.
"""
