"""One subscription, many connections, many consumers.

What the user enters, and what the server sends:

- `subscription`: what user code enters and iterates over, and what fills its buffer.
- `source`: how a consumer comes to a stream of the server.
- `client_events`: the stream of the client's own events.
- `upstream`: one stream of the server, shared by its consumers.
- `registry`: the streams that are wanted, and how they begin again and end; `forgets`: how they are
  unsubscribed.
- `interfaces`: what these parts expect of each other.
- `requests`: what may be asked for, which requests are equal, and which one resumes a stream.
- `resubscribe`: asking again, on a new connection or when the server has ended a stream.
- `suspects`: which streams break connections.
- `staleness`, `probes`: which streams should speak and do not; what the server is asked about them.

What each kind of stream delivers:

- `ticks`, `candles`: each once and in order, with a hole where some may be missing.
- `epochs`: which epochs of a live stream are believed.
- `holes`, `backfill`: what is missing, and how it is fetched.
- `closed_markets`, `opening_times`: how they wait for a market that is closed, and until when.
- `transactions`: the same with the account's statement.
- `contracts`: what streams of contracts share, and how they end.
- `snapshots`: streams whose every message is the whole truth.

Imports: `calls` and everything below. Begin with `upstream`.
"""
