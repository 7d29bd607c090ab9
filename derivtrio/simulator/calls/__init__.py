"""The calls of the API: a request and a session in, messages out, without any I/O.

- `dispatch`: the order of the checks, and the table of calls.
- `service`: calls about the service, and those that end streams.
- `authorization`: `authorize` and `logout`.
- `prices`: `ticks` and `ticks_history`; `history_window`: which window of time that asks for.
- `listings`: the symbols and their trading times; `offerings`: the contracts for a symbol.
- `proposals`: what a contract costs. `trading`: the calls that change something.
- `balance`, `positions`, `reports`: what an account has, as streams and as lists.
- `notifications`: messages to all sessions when the money of an account changes.
- `contract_payloads`, `trade_payloads`: what messages say about contracts and about trades.

Imports `sessions` and the folders below it. Begin with `dispatch`, then `service`, which has the
simplest calls.
"""
