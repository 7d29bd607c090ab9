"""How long `import derivtrio` takes beside the import of what it stands on."""

import os
import subprocess
import sys
from statistics import median
from typing import Final

OURS: Final = "import derivtrio"
THEIRS: Final = "import trio, trio_websocket"

_TIMED: Final = "from time import perf_counter as now; start = now(); {}; print(now() - start)"


def import_ratio(count: int) -> float:
    """Return the medians' ratio over *count* fresh processes each, in turn.

    One more of each goes before, which leaves the bytecode behind.
    """
    times = [(_seconds(OURS), _seconds(THEIRS)) for _ in range(count + 1)][1:]
    return median(ours for ours, _ in times) / median(theirs for _, theirs in times)


def _seconds(statement: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-P", "-c", _TIMED.format(statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)
