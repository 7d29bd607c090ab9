"""`python -m examples.site --out DIR`."""

import argparse
import sys
import warnings
from pathlib import Path

try:
    from examples.site.building import build
    from examples.site.checking import faults
except ModuleNotFoundError as error:
    sys.exit(f"python -m examples.site needs {error.name}: pip install '.[docs]'")


def main() -> int:
    """Build the site and check it; return the exit status, 1 if anything is wrong with it."""
    parser = argparse.ArgumentParser(prog="python -m examples.site", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    out = parser.parse_args().out.resolve()
    warnings.simplefilter("error")
    build(out)
    found = faults(out)
    for fault in found:
        print(fault, file=sys.stderr)
    print(f"{out / 'index.html'}: {len(list(out.rglob('*.html')))} pages")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
