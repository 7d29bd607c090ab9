"""Loggers whose handlers may raise: all modules of derivtrio log through them.

`logging` catches what its own handlers raise. Those of other packages, and filters, need not be so
careful. Here the task that logs would end of it, and the client with the task.
"""

import logging
from typing import Any


class TolerantLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that tells on standard error what its handlers raise, as `logging` does."""

    def log(self, level: int, msg: object, *args: object, **fields: Any) -> None:
        """Log *msg*, with what `logging.Logger.log` takes besides."""
        fields["stacklevel"] = fields.get("stacklevel", 1) + 1
        try:
            self.logger.log(level, msg, *args, **fields)
        except Exception:  # noqa: BLE001 - whatever a handler does
            logging.NullHandler().handleError(logging.makeLogRecord({"msg": msg, "args": args}))
