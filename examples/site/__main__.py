"""`python -m examples.site --out DIR`."""

import argparse
import sys
import warnings
from pathlib import Path

from examples.site.building import build
from examples.site.checking import faults


def main() -> int:
    """Build the site and check it; return the exit status, 1 if anything is wrong with it."""
    parser = argparse.ArgumentParser(prog="python -m examples.site", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    out = parser.parse_args().out.resolve()
    warnings.simplefilter("error")
    build(out)
    found = faults(out)
    print(*found, sep="\n", file=sys.stderr, end="\n" if found else "")
    print(f"{out / 'index.html'}: {len(list(out.rglob('*.html')))} pages")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
