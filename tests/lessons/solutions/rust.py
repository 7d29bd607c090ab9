from typing import Any

import derivtrio
from examples.lessons.rust.outcomes import Answered, InDoubt, NotDone, Outcome, Refused


async def outcome(client: derivtrio.Client, request: dict[str, Any]) -> Outcome:
    try:
        return Answered(await client.call(request))
    except derivtrio.ApiError as error:
        return Refused(error.code)
    except derivtrio.OutcomeUnknown:
        return InDoubt()
    except derivtrio.DerivError:
        return NotDone()
