"""`python -m derivtrio.codegen PATH`: rewrite the generated files."""

import sys
from pathlib import Path

from derivtrio.codegen.data import published_module
from derivtrio.codegen.reading import Schemas, read_schemas
from derivtrio.codegen.stubs import api_stub


def generated(schemas: Schemas) -> dict[str, str]:
    """Return the text of each generated file, by its path in the package."""
    return {
        "api/_published.py": published_module(schemas),
        "api/__init__.pyi": api_stub(schemas),
    }


def main() -> None:
    """Write the generated files."""
    if len(sys.argv) != 2 or not Path(sys.argv[1], "v3").is_dir():  # noqa: PLR2004
        sys.exit("usage: python -m derivtrio.codegen PATH, a folder with v3/ and options/ in it")
    package = Path(__file__).parents[1]
    for name, text in generated(read_schemas(Path(sys.argv[1]))).items():
        (package / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{package / name}\n")


if __name__ == "__main__":
    main()
