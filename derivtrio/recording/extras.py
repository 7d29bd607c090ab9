"""What is said when a package is needed that an extra installs."""

from collections.abc import Iterator
from contextlib import contextmanager

from derivtrio.recording.store import MissingExtra


@contextmanager
def needing(extra: str, purpose: str) -> Iterator[None]:
    """Turn an import that fails in the block into a `MissingExtra`, which says what to do."""
    try:
        yield
    except ModuleNotFoundError as error:
        text = (
            f"{purpose} needs {error.name}: install the extra {extra};"
            f" in a clone of the repository, pip install '.[{extra}]'"
        )
        raise MissingExtra(text) from error
