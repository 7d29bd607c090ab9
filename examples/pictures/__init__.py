"""The pictures in README, CONTRIBUTING and the lessons, made from runs.

    python -m examples.pictures                     make all of them
    python -m examples.pictures javascript time     only those of these lessons
    python -m examples.pictures --check             say which are stale, with status 1

Each picture is an SVG file, written in plain code. A run is on the virtual clock, with every source
of chance seeded, so the same code makes the same bytes. The ten servers of the first lessons are
reached in memory, over a line that takes its time; otherwise everything would be at 0 s.

- `runs`, `wire`: what a program prints, sends and goes through, as data.
- `exchange`, `lanes`: two ways to draw that; lanes are the time line of `derivtrio.trace`.
- `states`, `scopes`, `exchanges`, `turns`, `plots`, `long_runs`: the pictures.
"""
