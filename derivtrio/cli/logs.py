"""The log as JSON: one object a line, for programs that collect logs.

Each has `time` (UTC), `level`, `logger` and `text`; then the fields that the record was given, such
as `client`, `connection`, `attempt` and `symbol`, if they are known. Tokens are hidden once more
here, wherever they may come from.
"""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from derivtrio.redaction import masked, masked_text, without

#: What every record has; anything else is a field that it was given.
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Makes one line of JSON of a record; *secrets* are never shown."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as one line."""
        when = datetime.fromtimestamp(record.created, UTC)
        told: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "text": masked_text(record.getMessage()),
        }
        given = {name: value for name, value in vars(record).items() if name not in _USUAL}
        told |= {name: value for name, value in masked(given).items() if value is not None}
        if record.exc_info:
            told["exception"] = masked_text(self.formatException(record.exc_info))
        return json.dumps(self._hide(told))

    def _hide(self, value: Any) -> Any:
        """Return *value* as JSON has it, without secrets."""
        if isinstance(value, dict):
            return {str(name): self._hide(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._hide(each) for each in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return without(str(value), self._secrets)
