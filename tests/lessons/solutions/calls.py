from typing import Literal

import derivtrio

Advice = Literal["ask again", "find out first", "change something first"]


def advice(error: derivtrio.DerivError) -> Advice:
    match error:
        case derivtrio.OutcomeUnknown():
            return "find out first"
        case derivtrio.RateLimited() | derivtrio.ServerBusy():
            return "ask again"
        case derivtrio.ApiError():
            return "change something first"
        case _:
            return "ask again"
