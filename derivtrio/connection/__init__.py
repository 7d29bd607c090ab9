"""One WebSocket connection: from the endpoint's URL to the closed socket. It is used once.

- `endpoints`: where to connect, and which generation of the API is spoken there; `url` takes the
  URL apart.
- `account`: an account of the Options API, whose URL comes from a REST call, which is in `rest`.
- `dial`: name resolution and TCP; `addresses` remembers which address of a name has failed; `tls`
  is TLS over it.
- `forks`: a child process keeps no socket of ours.
- `proxy`: which proxy is in between; `tunnel`: the way through it.
- `handshake`: the server's HTTP answer.
- `stream`: between the socket and trio-websocket; remembers what was seen of the bytes, and is the
  one place where the errors of the layers below get one name.
- `websocket`: trio-websocket, contained; messages in and out, the plain way.
- `disconnect`: how a connection ended.
- `connection`: all of it together, from the dial to the goodbye.
- `fast/`: messages in and out, many at once. `Settings(fast=False)` does without.

Imports: the data modules, `api`, `policy`, `concurrency`. Begin with `connection`.
"""
