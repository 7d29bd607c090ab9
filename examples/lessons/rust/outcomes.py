"""The four outcomes of a request, as values."""

from typing import Any

import attrs


@attrs.frozen
class Answered:
    """There is a reply."""

    reply: dict[str, Any]


@attrs.frozen
class Refused:
    """The server has said no, with this code; nothing was done."""

    code: str


@attrs.frozen
class InDoubt:
    """It may have been done, or not; somebody must find out."""


@attrs.frozen
class NotDone:
    """It was never done, or changes nothing: it can safely be asked again later."""


Outcome = Answered | Refused | InDoubt | NotDone
