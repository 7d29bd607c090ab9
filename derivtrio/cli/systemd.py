"""What a service manager is told: systemd's protocol for a service of `Type=notify`.

The manager names a datagram socket in the variable `NOTIFY_SOCKET`. A message to it is some lines
of `NAME=value`; see sd_notify(3). With `WatchdogSec` in the unit the manager also sets
`WATCHDOG_USEC`, and `WATCHDOG_PID` if the promise is for one process alone.

A message that cannot be sent is dropped: the work goes on without its manager.
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

import attrs

_MICRO: Final = 1e-6


@attrs.frozen
class Notifier:
    """Tells the service manager how the service is.

    Attributes:
        address: the path of its socket; a leading `@` means an abstract name. None without one.
        watchdog: it wants a sign of life at least so often, in seconds; None if it wants none.

    """

    address: str | None = None
    watchdog: float | None = None

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Notifier":
        """Return the notifier that the environment *variables* describe."""
        address = variables.get("NOTIFY_SOCKET") or None
        wanted = variables.get("WATCHDOG_USEC", "")
        for_us = variables.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if address is None or not for_us or not (wanted.isascii() and wanted.isdecimal()):
            return cls(address)
        return cls(address, int(wanted) * _MICRO or None)

    def tell(self, **values: str | int) -> None:
        """Send *values*, such as `READY=1`, in one message."""
        if self.address is None:
            return
        lines = (f"{name}={' '.join(str(value).split())}" for name, value in values.items())
        name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(0)  # a manager that does not read must not stop the loop
                sock.sendto("\n".join(lines).encode(), name)
        except (OSError, AttributeError):  # AttributeError: a platform without these sockets
            return
