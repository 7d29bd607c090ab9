"""Decisions: whether to try again, when, and how much may be sent. No I/O.

Each module answers one question from data that it is given, so its tests need no event loop:

- `retry`: is this error worth another attempt?
- `backoff`: how long until that attempt, and which one is the last?
- `rate_limits`: does the server's budget have room for this call?
- `pacer`: what have several clients sent together?
- `throttling`: in which order do calls leave that have to wait for a budget?
- `early_ends`: which stream ends its connection a moment after it was granted?
- `fetch_window`: how much history is asked for at a time?
- `server_clock`: what does the server's clock show?
- `newest`: what is kept of something that may grow for ever?

Imports: the data modules (`errors`, `events`, `models`, `settings`) and `api`. Begin with `retry`.
"""
