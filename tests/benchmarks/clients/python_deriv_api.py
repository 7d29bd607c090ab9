"""python-deriv-api, Deriv's own client; its observables fill an inbox."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from deriv_api import DerivAPI

from tests.benchmarks.clients.on_asyncio import Inbox, client
from tests.benchmarks.session import history_request


class Observing:
    """A session of `DerivAPI`."""

    def __init__(self, api: DerivAPI) -> None:
        self._api = api

    async def call(self, request: dict[str, Any]) -> Any:
        """Make a call by dict, without the validation that the named calls have."""
        return await self._api.send(request)

    async def history(self, symbol: str) -> Any:
        """Return 5000 ticks of the past."""
        return await self._api.send(history_request(symbol))

    async def subscribe(self, symbol: str) -> AsyncIterator[Any]:
        """Return what the observable calls back with."""
        inbox = Inbox()
        observable = await self._api.subscribe({"ticks": symbol})
        observable.subscribe(inbox.put)
        return inbox


@asynccontextmanager
async def open_session(url: str) -> AsyncGenerator[Observing]:
    """Connect."""
    api = DerivAPI(endpoint=url, app_id=1089)
    await api.ping({"ping": 1})
    try:
        yield Observing(api)
    finally:
        await api.clear()


CLIENT = client(open_session)
