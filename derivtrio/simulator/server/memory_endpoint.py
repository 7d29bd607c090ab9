"""The endpoint for in-memory connections."""

import errno
import os
from typing import Literal

import attrs
import trio

from derivtrio.simulator.network.memory_stream import MemoryStream, open_pair
from derivtrio.simulator.server.acceptor import Acceptor
from derivtrio.simulator.server.admission import PUBLIC_PATH, V3_PATH, V3_QUERY

_HOST = "simulator.invalid"


@attrs.define(eq=False)
class MemoryEndpoint:
    """An endpoint without a network: pass it to a client instead of a URL.

    With an `account_id` it connects to that account of the Options API; `url` then does what the
    REST call does over TCP.
    """

    _acceptor: Acceptor = attrs.field(repr=False)
    _handlers: trio.Nursery = attrs.field(repr=False)
    generation: Literal["v3", "options"] = "v3"
    account_id: str | None = None

    @property
    def limits(self) -> Literal["website_status", "documented"]:
        """Where a client finds the rate limits of this generation."""
        return "website_status" if self.generation == "v3" else "documented"

    async def url(self) -> str:
        """Return a URL of this endpoint; its host does not exist.

        Raises:
            RestRejected: the account gets no one-time password, or not at present.

        """
        if self.generation == "v3":
            return f"ws://{_HOST}{V3_PATH}?{V3_QUERY}"
        if self.account_id is None:
            return f"ws://{_HOST}{PUBLIC_PATH}"
        return f"ws://{_HOST}{await self._acceptor.rest_api.one_time_target(self.account_id)}"

    async def open_stream(self, host: str, port: int) -> MemoryStream:  # noqa: ARG002
        """Return a new connection to the simulator; *host* and *port* do not matter.

        Raises:
            ConnectionRefusedError: `faults.refuse` is active, or the simulator has ended.

        """
        await trio.lowlevel.checkpoint()
        if self._acceptor.faults.refusing or self._handlers.cancel_scope.cancel_called:
            self._acceptor.attempts += 1
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        server_end, client_end = open_pair()
        self._handlers.start_soon(self._acceptor.handle, server_end)
        return client_end
