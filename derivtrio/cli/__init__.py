"""The command line: `derivtrio` and `python -m derivtrio`.

- `commands`: the group of all commands.
- `ping`, `call`, `ticks`: a command each; they connect to a server.
- `watch`, `top`: live views on a terminal. `screen` draws them; `watch_view` and `top_view` are how
  they look, with `charts`; `followed` and `live_view` are what they have in common.
- `record`: the command that keeps what a server sends, see the folder `recording`.
- `export`, `plot`: what was recorded, as data and as a chart.
- `relay`: the command that hands ticks on to Redis or NATS.
- `simulate`: the command that serves a simulated Deriv.
- `demo`: the command that shows ticks surviving broken connections; `outages` is its record and its
  summary.
- `operate`: how commands that run for long tell others how they are: `systemd`, `health` (the
  judgement), `health_server` (its pages) and `prometheus` (metrics).
- `progress`: how far what is fetched from the past is.
- `serving`: the live time line that several commands can serve.
- `moments`: times as options. `out_files`: files that are written, and what they may replace.
- `target`: where commands connect; `ending`: how they end.
- `output`: how results and messages are shown; `logs`: the log as JSON.

Needs the extra `cli` (click and rich). Imports: everything below, and the simulator. Begin with
`commands`, then `ping`.
"""
