"""Speed, and nothing else: text that goes around trio-websocket.

*Why it is here.* Nearly all that Deriv sends are short text frames: whole, unmasked, without
extensions. wsproto spends 8 microseconds on each, trio-websocket hands each over to another task
(5 more), and its reader wakes ours for every one. Cutting a frame out of the bytes costs 0.2.
Measured in a burst of ticks, delivered to a user's `async for`, against handing every frame to
trio-websocket: 6 times the rate with `json`, 14 times with a fast decoder. A single tick that comes
alone costs a third less. Written in bulk, a hundred concurrent calls cost a quarter.

*How it works.*

- `frames` tells text frames from all others in a byte stream, and makes the text frames that we
  send. It has no I/O.
- `messages` reads and writes with it, in place of `connection.websocket.PlainMessages`. What is not
  taken goes to trio-websocket: the handshake, pings, fragments, binary messages, Close, and
  whatever is illegal.
- `tls` hands over all records of a read at once, in place of `trio.SSLStream`.
- `sockets` waits first and then receives, and sends without a pause, in place of
  `trio.SocketStream`.

*What it must not change.* The order of messages, the limit on their size, the verdicts about
illegal frames, and what is known of the end. `tests/connection` runs the hazards both ways, and
`pytest --plain` the whole suite without this folder. `tests/connection/test_frames.py` compares the
two for random streams of frames.

`Settings(fast=False)` turns it off.
"""
