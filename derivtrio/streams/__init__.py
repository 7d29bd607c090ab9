"""One subscription, many connections, many consumers.

- `subscription`: what user code enters and iterates over.
- `upstream`: one stream of the server, shared by its consumers.
- `registry`: the streams that are wanted, and how they begin again and end at the server.
- `source`: how equal requests come to share one upstream.
- `requests`: which requests are equal, and which one resumes a stream.
- `resubscribe`: asking again, on a new connection or when the server has ended a stream.
- `continuity`: which ticks and candles are missing, and how to fetch them.
- `transactions`, `completion`: the same for an account's transactions.
- `snapshots`: streams whose every message is the whole truth.

Imports: `calls` and everything below. Begin with `upstream`.
"""
