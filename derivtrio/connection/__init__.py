"""One WebSocket connection: from the endpoint's URL to the closed socket. It is used once.

- `endpoints`: where to connect, and which generation of the API is spoken there.
- `account`: an account of the Options API, whose URL comes from a REST call.
- `dial`: name resolution, TCP and TLS.
- `tls`: TLS over two memory buffers.
- `handshake`: the server's HTTP answer.
- `connection`: the open WebSocket; reading, writing, and how it ended.
- `fast/`: the same, faster. Nothing outside needs to know it.

Imports: the data modules, `api`, `policy`, `concurrency`. Begin with `connection`.
"""
