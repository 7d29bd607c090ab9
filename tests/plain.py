"""The switch with which all tests run the plain way."""

from derivtrio import Settings


def make_plain_the_default() -> None:
    """Have `Settings()` mean `Settings(fast=False)`, also for settings made by module constants.

    The default is where Python keeps it, with the function; nothing of the package is replaced.
    """
    defaults = Settings.__init__.__kwdefaults__
    assert defaults is not None
    assert defaults["fast"] is True
    defaults["fast"] = False
