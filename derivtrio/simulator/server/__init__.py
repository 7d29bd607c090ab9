"""The server: its tasks, its sockets, and `open_simulator`, which starts them.

- `simulator`: `open_simulator`, and what a user of the simulator sees.
- `tcp_listener`, `memory_endpoint`: where connections come from.
- `acceptor`: takes a byte stream from its first byte to its end; `admission`: whether it becomes a
  WebSocket connection, and for which account.
- `connection`: the tasks of one connection; `fault_tasks`: what it does by itself during a fault.
- `close_plan`, `connection_record`: how a connection ends, and what is remembered of it.
- `rest_api`: the REST API of the Options API.
- `clock`: the server's time. `settlement`: the task that settles contracts in time.
- `endings`: a plain server of its own, for first clients.

Imports the folders below; every task of the simulator is started here. Begin with `simulator`,
then follow one connection: `acceptor`, `connection`.
"""
