"""Arguments of a wrong kind are refused at once, in an error of the hierarchy."""

from collections.abc import Callable
from typing import Any

import pytest
from scripted import Peer, Request, open_server, polite

import derivtrio
from derivtrio import Client, InvalidRequest, Settings

CONTRACT = {"contract_type": "CALL", "symbol": "R_100", "currency": "USD"}

WRONG: dict[str, tuple[Callable[[Client, Any], Any], list[Any]]] = {
    "the name of a symbol": (lambda c, x: c.ticks(x), ["\ud800", 5, None]),
    "a symbol of candles": (lambda c, x: c.candles(x), ["\ud800", b"R_100"]),
    "what has no JSON form": (
        lambda c, x: c.subscribe(x),
        [{"ticks": "\ud800"}, {"ticks": "R_100", "passthrough": {"a": object()}}],
    ),
    "strict": (lambda c, x: c.ticks("R_100", strict=x), ["no", 1, None]),
    "traffic": (lambda c, x: c.events(traffic=x), ["no", 1, float("nan"), None]),
    "reconcile": (lambda c, x: c.buy(CONTRACT, 1, reconcile=x), ["no", 1, None]),
    "a contract to follow": (lambda c, x: c.open_contract(x), [0, -1, 2**63, 10**5000, True]),
    "a contract to sell": (lambda c, x: c.sell(x), [0, -1, 2**63, 10**5000, "7"]),
    "a contract to cancel": (lambda c, x: c.cancel(x), [0, -1, 2**63]),
    "a contract to limit": (lambda c, x: c.update_contract(x, stop_loss=1), [0, -1, 2**63]),
}


@pytest.mark.parametrize("what", WRONG)
async def test_g18_an_argument_of_a_wrong_kind_is_refused_at_once(
    autojump_clock: Any, what: str
) -> None:
    use, values = WRONG[what]

    async def handle(peer: Peer, request: Request) -> None:
        await polite(peer, request)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(
            endpoint=server, settings=Settings(check_requests=False, heartbeat_interval=3600)
        ) as client,
    ):
        for value in values:
            with pytest.raises(InvalidRequest):
                await _used(use(client, value))
        assert server.received == []
        assert client.status.subscriptions == 0


async def _used(what: Any) -> None:
    if not hasattr(what, "__aenter__"):
        await what
        return
    async with what:
        pass
