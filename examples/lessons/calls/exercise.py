"""Exercise 14: what to do after an error."""

from typing import Literal

import derivtrio

Advice = Literal["ask again", "find out first", "change something first"]


def advice(error: derivtrio.DerivError) -> Advice:
    """Say what a program may do after a call that ended with *error*.

    "ask again": it was not executed, or only reads. "find out first": it may have been executed.
    "change something first": the same request would be refused again. This version is an optimist.
    """
    print("an error:", error)
    return "ask again"
