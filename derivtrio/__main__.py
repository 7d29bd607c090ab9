"""`derivtrio` and `python -m derivtrio`: the command line, if the extra `cli` is installed."""

import sys
from importlib.util import find_spec

#: What the extra `cli` installs.
_EXTRA = ("click", "rich")


def main() -> None:
    """Run the command line; without the extra `cli`, say how to install it."""
    missing = " and ".join(name for name in _EXTRA if find_spec(name) is None)
    if missing:
        sys.exit(
            f"The derivtrio command needs {missing}: install the extra cli;"
            " in a clone of the repository, pip install '.[cli]'"
        )
    from derivtrio.cli.commands import cli  # noqa: PLC0415 - it needs the extra

    cli(prog_name="derivtrio")


if __name__ == "__main__":
    main()
