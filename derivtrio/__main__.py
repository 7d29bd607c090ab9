"""`derivtrio` and `python -m derivtrio`: the command line, if what it needs is installed."""

import sys

#: What the extra `cli` installs.
_EXTRA = ("click", "rich")


def main() -> None:
    """Run the command line; without the extra `cli`, say how to get it."""
    try:
        from derivtrio.cli.commands import cli  # noqa: PLC0415 - it may be missing what it needs
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.exit(
            f"The derivtrio command needs {error.name}, which the extra `cli` brings:"
            " pip install '.[cli]' in a clone of derivtrio"
        )
    cli(prog_name="derivtrio")


if __name__ == "__main__":
    main()
