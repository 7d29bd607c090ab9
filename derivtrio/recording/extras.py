"""What is said when a package is needed that an extra installs."""

from collections.abc import Iterator
from contextlib import contextmanager

from derivtrio.recording.store import MissingExtra
from derivtrio.wording import one_line


@contextmanager
def needing(extra: str, purpose: str) -> Iterator[None]:
    """Turn an import that fails in the block into a `MissingExtra`, which says what to do.

    A package that is there may fail as well: for a library of the system that it needs, or because
    it is not made for this version of Python.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        text = (
            f"{purpose} needs {error.name}: install the extra {extra};"
            f" in a clone of the repository, pip install '.[{extra}]'"
        )
        raise MissingExtra(text) from error
    except Exception as error:
        text = (
            f"{purpose} needs the packages of the extra {extra}, and one of them cannot be imported"
            f" here: {type(error).__name__}: {one_line(error)}"
        )
        raise MissingExtra(text) from error
