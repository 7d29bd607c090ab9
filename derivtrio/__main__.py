"""`derivtrio` and `python -m derivtrio`: the command line, if the extra `cli` is installed."""

import os
import sys
from importlib.util import find_spec

#: What the extra `cli` installs.
_EXTRA = ("click", "rich")

#: The highest file descriptor of the standard streams.
_STDERR = 2


def main() -> None:
    """Run the command line; without the extra `cli`, say how to install it."""
    missing = " and ".join(name for name in _EXTRA if find_spec(name) is None)
    if missing:
        sys.exit(
            f"The derivtrio command needs {missing}: install the extra cli;"
            " in a clone of the repository, pip install '.[cli]'"
        )
    reserve_standard_streams()
    try:
        from derivtrio.cli.commands import cli  # noqa: PLC0415 - it needs the extra

        cli(prog_name="derivtrio")
    except KeyboardInterrupt:  # before a command has begun to handle signals
        sys.exit(130)


def reserve_standard_streams() -> None:
    """Open the null device in the place of standard streams that are closed.

    The next file or socket would have the number 1 or 2 otherwise. What a library prints there
    would go into the recording.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(number)


if __name__ == "__main__":
    main()
