"""`python -m examples.lessons.servers closes-1008`: a server for a naive client in any language.

The first line of its output is the URL. Ctrl-C ends it.
"""

import argparse
from typing import get_args

import trio

import derivtrio
from derivtrio.simulator import EndingName, open_ending_server

NAMES: tuple[EndingName, ...] = get_args(EndingName)


async def serve(ending: EndingName, port: int) -> None:
    """Serve until cancelled."""
    async with open_ending_server(ending, port=port) as url:
        print(url, flush=True)
        await trio.sleep_forever()


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(prog="python -m examples.lessons.servers")
    parser.add_argument("ending", choices=NAMES, help="how every connection ends")
    parser.add_argument("--port", type=int, default=0, help="0, the default, means any free port")
    options = parser.parse_args()
    try:
        derivtrio.run(serve, options.ending, options.port)
    except OSError as error:
        parser.exit(1, f"[error] no server on port {options.port}: {error.strerror}\n")


if __name__ == "__main__":
    main()
