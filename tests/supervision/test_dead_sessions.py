"""G10: a session that dies while its socket lives is authorized anew before anything is lost."""

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
import trio
from scripted import Peer, Request, Server, open_server

import derivtrio
from derivtrio import Backoff, Settings
from derivtrio.simulator import open_simulator

SETTINGS = Settings(backoff=Backoff(first=0.1, cap=0.3), pacing=False)
BUY = {
    "contract_type": "CALL",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 5,
    "duration_unit": "t",
}
BOUGHT = {
    "contract_id": 7,
    "transaction_id": 8,
    "buy_price": 10,
    "payout": 19,
    "balance_after": 90,
    "purchase_time": 5,
    "start_time": 5,
    "shortcode": "CALL_R_100_19_5_5T_S0P_0",
    "longcode": "Win payout if …",
}


@attrs.define
class Bank:
    """A server whose sessions die when told to; it takes only the tokens in *valid*."""

    valid: Sequence[str] = ("first", "second")
    alive: set[int] = attrs.field(factory=set)
    code: str = "AuthorizationRequired"
    streams: list[tuple[Peer, Request]] = attrs.field(factory=list)

    async def handle(self, peer: Peer, request: Request) -> None:
        if "authorize" in request:
            if request["authorize"] not in self.valid:
                await peer.refuse(request, "InvalidToken")
                return
            self.alive.add(peer.number)
            await peer.reply(request, authorize={"loginid": "CR1"})
        elif "ping" in request:
            await peer.reply(request, ping="pong")
        elif peer.number not in self.alive:
            await peer.refuse(request, self.code, "Please log in.")
        elif "balance" in request:
            balance = {"loginid": "CR1", "balance": 1, "currency": "USD"}
            more = (
                {"subscription": {"id": f"b{len(self.streams)}"}} if "subscribe" in request else {}
            )
            self.streams += [(peer, request)] if more else []
            await peer.reply(request, balance=balance, **more)
        elif "buy" in request:
            await peer.reply(request, buy=BOUGHT)

    async def die(self) -> None:
        """Forget all sessions, and end their streams."""
        self.alive.clear()
        streams, self.streams = self.streams, []
        for peer, request in streams:
            await peer.refuse(request, self.code, "Please log in.")


def numbered(server: Server, name: str) -> int:
    return len(server.asked(name))


@pytest.mark.parametrize("code", ["AuthorizationRequired", "InvalidToken", "BadSession"])
async def test_g10_a_call_of_a_dead_session_is_made_once_more(
    autojump_clock: Any, code: str, caplog: Any
) -> None:
    bank = Bank(code=code)
    async with (
        open_server(bank.handle) as server,
        derivtrio.open_client(endpoint=server, token="first", settings=SETTINGS) as client,
    ):
        await bank.die()
        assert (await client.call({"balance": 1}))["balance"]["loginid"] == "CR1"
        assert (numbered(server, "authorize"), numbered(server, "balance")) == (2, 2)
        assert client.status.connection == 1
    assert "authorizing anew" in caplog.text
    assert "first" not in caplog.text


async def test_g04_a_purchase_that_was_refused_for_that_is_made_once_more(
    autojump_clock: Any,
) -> None:
    bank = Bank()
    async with (
        open_server(bank.handle) as server,
        derivtrio.open_client(endpoint=server, token="first", settings=SETTINGS) as client,
    ):
        await bank.die()
        assert (await client.buy(BUY, price=10)).contract_id == 7
        assert (numbered(server, "authorize"), numbered(server, "buy")) == (2, 2)


async def test_g10_the_token_function_is_asked_afresh(autojump_clock: Any) -> None:
    given = iter(["first", "second"])

    async def token() -> str:
        return next(given)

    bank = Bank()
    async with (
        open_server(bank.handle) as server,
        derivtrio.open_client(endpoint=server, token=token, settings=SETTINGS) as client,
    ):
        bank.valid = ("second",)
        await bank.die()
        assert (await client.call({"balance": 1}))["balance"]["loginid"] == "CR1"
        assert [each["authorize"] for _, each in server.asked("authorize")] == ["first", "second"]


async def test_g10_many_calls_of_a_dead_session_authorize_once(autojump_clock: Any) -> None:
    bank = Bank()
    async with (
        open_server(bank.handle) as server,
        derivtrio.open_client(endpoint=server, token="first", settings=SETTINGS) as client,
    ):
        await bank.die()
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(client.call, {"balance": 1})
        assert (numbered(server, "authorize"), numbered(server, "balance")) == (2, 40)


async def test_g10_if_that_is_refused_too_the_error_is_the_callers(autojump_clock: Any) -> None:
    bank = Bank()
    async with (
        open_server(bank.handle) as server,
        derivtrio.open_client(endpoint=server, token="first", settings=SETTINGS) as client,
    ):
        bank.valid = ()
        await bank.die()
        with pytest.raises(derivtrio.AuthorizationRequired) as caught:
            await client.call({"balance": 1})
        assert isinstance(caught.value.__cause__, derivtrio.InvalidToken)
        assert (numbered(server, "authorize"), numbered(server, "balance")) == (2, 1)
        await client.call({"ping": 1})


async def test_g10_a_call_that_is_refused_again_is_not_made_a_third_time(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "authorize" in request:
            await peer.reply(request, authorize={"loginid": "CR1"})
        else:
            await peer.refuse(request, "AuthorizationRequired")

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, token="first", settings=SETTINGS) as client,
    ):
        with pytest.raises(derivtrio.AuthorizationRequired):
            await client.call({"statement": 1})
        assert (numbered(server, "authorize"), numbered(server, "statement")) == (2, 2)


async def test_g10_without_an_account_the_server_is_believed(autojump_clock: Any) -> None:
    bank = Bank()
    async with (
        open_server(bank.handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        with pytest.raises(derivtrio.AuthorizationRequired):
            await client.call({"balance": 1})
        assert (numbered(server, "authorize"), numbered(server, "balance")) == (0, 1)


async def test_g10_a_stream_of_a_dead_session_goes_on(autojump_clock: Any) -> None:
    bank = Bank()
    async with (
        open_server(bank.handle) as server,
        derivtrio.open_client(endpoint=server, token="first", settings=SETTINGS) as client,
        client.balance() as balances,
    ):
        for _ in range(3):
            assert (await anext(balances)).loginid == "CR1"
            await bank.die()
        assert (await anext(balances)).loginid == "CR1"
        assert numbered(server, "authorize") == 4
        assert client.status.connection == 1


async def test_g10_a_stream_whose_session_is_not_authorized_anew_ends(autojump_clock: Any) -> None:
    bank = Bank()
    async with (
        open_server(bank.handle) as server,
        derivtrio.open_client(endpoint=server, token="first", settings=SETTINGS) as client,
        client.balance() as balances,
    ):
        await anext(balances)
        bank.valid = ()
        await bank.die()
        with pytest.raises(derivtrio.AuthorizationRequired):
            await anext(balances)
        await client.call({"ping": 1})


async def test_g10_a_connection_of_the_options_api_is_replaced(autojump_clock: Any) -> None:
    bank = Bank()
    bank.alive = set(range(100))

    class Bound(Server):
        account_id = "CR1"

    async with trio.open_nursery() as nursery:
        server = Bound(bank.handle, nursery, generation="options")
        async with (
            derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
            client.balance() as balances,
        ):
            await anext(balances)
            bank.alive.remove(1)
            assert (await client.call({"balance": 1}))["balance"]["loginid"] == "CR1"
            assert client.status.connection == 2
            assert (await anext(balances)).loginid == "CR1"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("dies", [False, True])
async def test_g10_a_token_of_another_account_does_not_change_the_account(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture, *, dies: bool
) -> None:
    """A purchase that waits would be made for the wrong account, and streams would go on with it.

    The first connection is authorized once, and once more when its session dies or is replaced.
    """
    tokens = iter(["CR1", "CR2", "CR2", "CR1", "CR1"])
    acts_for: dict[int, str] = {}
    bought: list[str] = []

    async def token() -> str:
        return next(tokens)

    async def handle(peer: Peer, request: Request) -> None:
        loginid = acts_for.get(peer.number)
        if "authorize" in request:
            loginid = acts_for[peer.number] = request["authorize"]
            await peer.reply(request, authorize={"loginid": loginid})
        elif loginid is None:
            await peer.refuse(request, "AuthorizationRequired")
        elif "balance" in request:
            balance = {"loginid": loginid, "balance": 1, "currency": "USD"}
            await peer.reply(request, balance=balance, subscription={"id": f"b{peer.number}"})
        elif "buy" in request:
            bought.append(loginid)
            await peer.reply(request, buy=BOUGHT)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, token=token, settings=SETTINGS) as client,
        client.balance() as balances,
    ):
        assert (await anext(balances)).loginid == "CR1"
        if dies:
            acts_for.clear()
        else:
            await server.peers[0].drop()
            await trio.sleep(0.001)
        assert (await client.buy(BUY, 10)).contract_id == 7
        assert (await anext(balances)).loginid == "CR1"
        assert client.status.connection == (3 if dies else 4)
    assert bought == ["CR1"]
    assert "returned a token of the account CR2, and this client acts for CR1" in caplog.text


@pytest.mark.parametrize("takes", [0.3, 1])
@pytest.mark.parametrize("name", ["buy", "topup_virtual"])
async def test_g04_what_was_refused_is_not_made_for_another_account(
    autojump_clock: Any, name: str, takes: float
) -> None:
    """The user authorizes another account while an order is on its way, and is refused."""
    done: list[Request] = []

    async def handle(peer: Peer, request: Request) -> None:
        if "authorize" in request:
            await trio.sleep(takes if request["authorize"] == "second" else 0)
            await peer.reply(request, authorize={"loginid": f"CR-{request['authorize']}"})
        elif name in request:
            done.append(request)
            await trio.sleep(0.5)
            await peer.refuse(request, "InvalidToken")
        else:
            await peer.reply(request, ping="pong")

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, token="first", settings=SETTINGS) as client,
        trio.open_nursery() as nursery,
    ):

        async def order() -> None:
            with pytest.raises(derivtrio.InvalidToken):
                await (client.buy(BUY, price=10) if name == "buy" else client.call({name: 1}))

        nursery.start_soon(order)
        await trio.sleep(0.1)
        await client.authorize("second")
    assert len(done) == 1


async def test_a_request_for_an_account_of_no_token_does_not_say_that_the_session_has_died(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token") as client,
    ):
        with pytest.raises(derivtrio.AuthorizationRequired):
            await client.portfolio(loginid="CR90000001")
        assert [request for request in sim.connections[0].requests if "authorize" in request] == [
            {"authorize": "<not shown>", "req_id": 1}
        ]
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("when", ["before", "after", "named"])
async def test_g04_an_order_that_waited_is_not_sent_for_another_account(
    autojump_clock: Any, when: str
) -> None:
    """It waits for a connection; the change of the account, which is asked for later, is faster.

    If it is ordered after the change was asked for, it is for the new account.
    """

    async def handle(peer: Peer, request: Request) -> None:
        if "authorize" in request:
            await peer.reply(request, authorize={"loginid": f"CR{request['authorize']}"})
        elif "buy" in request:
            await peer.reply(request, buy=BOUGHT)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, token="1", settings=SETTINGS) as client,
        trio.open_nursery() as nursery,
    ):

        async def order() -> None:
            if when != "before":
                named = "CR1" if when == "named" else None
                assert (await client.buy(BUY, price=10, loginid=named)).contract_id == 7
                return
            with pytest.raises(derivtrio.AuthorizationRequired, match="for the account CR1"):
                await client.buy(BUY, price=10)

        server.refuses = True
        await server.peers[0].drop()
        await trio.sleep(1)
        if when == "after":
            nursery.start_soon(client.authorize, "2")
            await trio.sleep(1)
        nursery.start_soon(order)
        await trio.sleep(1)
        if when != "after":
            nursery.start_soon(client.authorize, "2")
        await trio.sleep(5)
        server.refuses = False
    assert numbered(server, "buy") == (0 if when == "before" else 1)
