"""Exercise 6: six endings, and a word for each."""

from typing import Literal

from derivtrio import Closed

Ending = Literal[
    "we left",  # our Close was answered
    "we left, unheard",  # it was not
    "it left",  # the server's Close is an ordinary one: 1000 or 1001
    "it sent us away",  # the server's Close has any other code
    "the line broke",  # no Close, and no bytes
    "it fell silent",  # our heartbeat's verdict
]


def classify(event: Closed) -> Ending:
    """Return which of the six *event* is. This version has the original's boolean."""
    remote = event.by != "us"
    return "it left" if remote else "we left"
