"""The server: its tasks, its sockets, and `open_simulator`, which starts them.

Imports every other folder; here alone are tasks and time. Begin with `simulator`, then follow one
connection: `acceptor`, `connection`. `endings` is a plain server of its own, for first clients.
"""
