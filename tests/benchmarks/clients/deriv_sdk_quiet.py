"""deriv-sdk with its logging off; its streams are iterated over as they are."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from deriv_sdk import DerivClient
from deriv_sdk.config import SDKConfig

from tests.benchmarks.clients.on_asyncio import client

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


class Serviced:
    """A session of `DerivClient`."""

    def __init__(self, sdk: DerivClient) -> None:
        self._sdk = sdk

    async def call(self, request: dict[str, Any]) -> Any:
        """Make a call by dict."""
        return await self._sdk.request_engine.send(request)

    async def history(self, symbol: str) -> Any:
        """Return 5000 ticks of the past."""
        return await self._sdk.market.ticks_history(symbol, count=5000)

    async def subscribe(self, symbol: str) -> AsyncIterator[Any]:
        """Return the typed ticks of *symbol*."""
        stream: AsyncIterator[Any] = await self._sdk.market.subscribe_ticks(symbol)
        return stream


@asynccontextmanager
async def open_session(url: str) -> AsyncGenerator[Serviced]:
    """Connect to *url* instead of Deriv."""

    class Elsewhere(SDKConfig):
        websocket_url = url

    async with DerivClient(app_id="1089", config=Elsewhere(app_id="1089", api_token="")) as sdk:
        yield Serviced(sdk)


CLIENT = client(open_session)
