"""Chaos: random faults and random work, from a seed, with every promise checked as code.

`python -m tests.chaos --seed 7 --days 0.1` runs one seed, `--seeds 1..100` many of them. The
clock is virtual and the simulator is in memory. A seed is turned into a schedule of steps, which is
all that happens; so a run can be repeated, shortened, and written down in one line.

- `schedule`: the steps and their texts
- `faults`: which faults are drawn, with which arguments
- `draw`: a schedule from a seed
- `world`: one run: the simulator, the client, and the steps as they happen
- `consumers`, `requests`: what uses the client, and what it has seen
- `invariants`: the promises, each a small function
- `shrink`: the shortest schedule that still fails
- `totals`: the figures of many runs together
- `inside`: everything that reaches behind the public names
- `determinism`: what makes a seed repeat exactly
"""
