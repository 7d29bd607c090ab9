"""Bytes, HTTP and WebSocket: the parts of a server that know nothing of Deriv.

Imports nothing of the simulator. Begin with `handshake`, then `websocket`; `memory_stream` is a
connection without a network, and `accepting` is the loop of a server's listener.
"""
