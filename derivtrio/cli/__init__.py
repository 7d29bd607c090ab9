"""The command line: `derivtrio` and `python -m derivtrio`.

- `commands`: the commands.
- `target`: where they connect, and how they end.
- `output`: how results are shown.
- `demo`, `outages`: the demo, and its summary.

Needs the extra `cli` (click and rich). Imports only the public surface of the package and the
simulator. Begin with `commands`.
"""
