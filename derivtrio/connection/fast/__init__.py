"""Speed, and nothing else: text frames that go around trio-websocket.

A WebSocket implementation in Python spends some 10 µs on each frame. Nearly all that Deriv sends
are short text frames that need none of that care. `filtering` is a stream between the socket and
trio-websocket that takes such frames out, and `frames` tells them apart from the others. `sockets`
receives with fewer turns of the event loop.

`Settings(fast=False)` turns all of it off: every frame then goes through trio-websocket. The tests
of the client run both ways.
"""
