"""The two generations of the API, as dialects.

The calls are answered in v3. On a connection of the Options API a request is checked against that
API's own definitions and then translated to v3, and every message is translated back. A reply
repeats the request as it came: a translated request keeps its original.
"""

from collections.abc import Callable, Mapping

import attrs

from derivtrio.simulator.dialects.options_calls import OPTIONS_CALLS, OPTIONS_NOT_SIMULATED
from derivtrio.simulator.dialects.options_messages import options_message, v3_request
from derivtrio.simulator.protocol.call_definitions import CALLS, CallDefinition
from derivtrio.simulator.protocol.envelope import Message
from derivtrio.simulator.protocol.not_simulated import NOT_SIMULATED


@attrs.frozen
class Dialect:
    """A generation of the API: its calls, and the translation to v3 and back."""

    calls: Mapping[str, CallDefinition]
    not_simulated: frozenset[str]
    request: Callable[[Message], Message]
    message: Callable[[Message], Message]


def _unchanged(message: Message) -> Message:
    return message


V3 = Dialect(CALLS, NOT_SIMULATED, _unchanged, _unchanged)
OPTIONS = Dialect(OPTIONS_CALLS, OPTIONS_NOT_SIMULATED, v3_request, options_message)
