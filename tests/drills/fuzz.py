"""The drill of bytes: whatever a server sends is read, or refused, and the two ways agree.

    python -m tests.drills.fuzz frames -max_total_time=600

Coverage-guided fuzzing with atheris, by hand (`pip install atheris`; Linux). The targets are in
`fuzz_targets`; what stands behind the name of one goes to libFuzzer. A finding is written to a
file, and `python -m tests.drills.fuzz frames FILE` runs it again.
"""

import logging
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Fuzz the target that the command line names, from its seeds on."""
    try:
        import atheris  # noqa: PLC0415 - by hand only
    except ImportError:
        sys.exit("this drill needs atheris: pip install atheris")
    with atheris.instrument_imports(include=["derivtrio", "h11", "wsproto"]):
        from tests.drills.fuzz_targets import (  # noqa: PLC0415 - instrumented
            JSON_TARGETS,
            SEEDS,
            TARGETS,
            mutated_lines,
        )
    name, *options = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"python -m tests.drills.fuzz {'|'.join(TARGETS)} [options of libFuzzer]")

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        if name in JSON_TARGETS and seed % 4:
            return mutated_lines(data, seed)[:most]
        mutated: bytes = atheris.Mutate(data, most)
        return mutated

    logging.getLogger("derivtrio").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS[name]):
            Path(corpus, f"seed-{number}").write_bytes(seed)
        places = [] if any(Path(each).is_file() for each in options) else [corpus]
        atheris.Setup([sys.argv[0], *options, *places], TARGETS[name], custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
