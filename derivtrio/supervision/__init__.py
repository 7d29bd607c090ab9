"""Many connections, one client: the supervisor, its tasks, and the client's beginning and end.

- `supervisor`: the reconnect task, and the nursery of one connection. The textbook page.
- `tasks`: what runs in that nursery, one function each.
- `heartbeat`: finds out that a connection is dead, although its socket is open.
- `restore`: authorize and resubscribe a new connection.
- `authorization`: which account a connection acts for; `tokens`: what a token is.
- `login`: change the account of a live client.
- `lifetime`: who cancels what at the end, and in which order.

Imports: `streams`, `calls` and everything below. Begin with `supervisor`.
"""
