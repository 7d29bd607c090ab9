from typing import Literal

from derivtrio import Closed

Ending = Literal[
    "we left",
    "we left, unheard",
    "it left",
    "it sent us away",
    "the line broke",
    "it fell silent",
]


def classify(event: Closed) -> Ending:
    match event:
        case Closed(by="us", was_clean=clean):
            return "we left" if clean else "we left, unheard"
        case Closed(by="server", code=code):
            return "it left" if code in (1000, 1001) else "it sent us away"
        case Closed(by="heartbeat"):
            return "it fell silent"
        case _:
            return "the line broke"
