"""One request, one decided end.

- `life`: the states of a call, drawn; `call`: a call, and everything that can end it.
- `routing`: which message belongs to which request.
- `queue`: calls on their way to the writer.
- `raw`: messages of the user's own making.
- `session`: what all parts of a client share.
- `request`: make a call and wait for its reply.
- `suspects`: reads that may be what breaks connections are asked alone.
- `doubts`: the trades whose outcome is not known; `other_clients`: what other clients of this
  process know of them.
- `status`: events, and the state that follows from them.
- `metrics`: what is counted.
- `pages`: lists that the server gives page by page.
- `fast_ticks`: ticks that go around the routing of dicts.

Imports: everything below (`connection`, `concurrency`, `policy`, `api`). Begin with `life`.
"""
