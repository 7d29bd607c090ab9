"""G03, G04: every order is written once, on the right connection, and ends decided."""

import gc
import pickle
import re
import traceback
from typing import Any

import pytest
import trio
from bank import PARAMETERS, Bank, answering, answering_after, lost_after, lost_before
from msgspec.structs import replace
from scripted import Peer, Request, open_server

import derivtrio
from derivtrio import Ambiguous, Bought, ConnectionChanged, NotBought, NotExecuted, OutcomeUnknown
from tests.trading.world import SETTINGS, in_doubt, open_world


async def test_g04_a_proposal_of_a_lost_connection_is_refused_before_it_is_sent(
    autojump_clock: Any,
) -> None:
    async with open_world() as world:
        async with world.client.proposal(PARAMETERS) as prices:
            old = await anext(prices)
            await world.server.peers[-1].drop()
            new = await anext(prices)
            with pytest.raises(derivtrio.ConnectionChanged, match="connection 1"):
                await world.client.buy(old)
            assert new.connection == 2
            assert (await world.client.buy(new)).contract_id == 1001
    assert len(world.server.asked("buy")) == 1


@pytest.mark.parametrize(
    "change",
    [
        *({"parameters": each} for each in (None, [], "R_100")),
        *({"id": each} for each in (None, 5)),
        *({"spot_time": each} for each in ("now", 1.5, -1)),
        {"connection": "1"},
        {"ask_price": None},
        {"parameters": {"loginid": 5}},
    ],
)
async def test_g03_a_handmade_proposal_that_is_none_is_refused_before_it_is_sent(
    autojump_clock: Any, change: dict[str, Any]
) -> None:
    async with open_world() as world, world.client.proposal(PARAMETERS) as prices:
        handmade = replace(await anext(prices), **change)
        with pytest.raises(derivtrio.InvalidRequest):
            await world.client.buy(handmade)
        handmade = replace(handmade, id=5)
        with pytest.raises(derivtrio.InvalidRequest, match="this Proposal has no usable id, but 5"):
            await world.client.buy(handmade)
    assert world.server.asked("buy") == []


async def test_g04_a_proposal_whose_connection_breaks_while_it_waits_is_not_sent(
    autojump_clock: Any,
) -> None:
    """The connection is already broken, but nobody has noticed when the order is queued."""
    async with open_world() as world:
        async with world.client.proposal(PARAMETERS) as prices:
            proposal = await anext(prices)
            await world.server.peers[-1].drop()
            world.server.refuses = True
            started = trio.current_time()
            with pytest.raises((derivtrio.ConnectionChanged, OutcomeUnknown)) as caught:
                await world.client.buy(proposal)
            assert trio.current_time() - started < 1
            assert (type(caught.value) is OutcomeUnknown) == bool(world.client.doubts)


async def test_g04_a_proposal_is_refused_at_once_also_during_an_outage(
    autojump_clock: Any,
) -> None:
    async with open_world() as world:
        async with world.client.proposal(PARAMETERS) as prices:
            proposal = await anext(prices)
            world.server.refuses = True
            await world.server.peers[-1].drop()
            await trio.sleep(5)
            with trio.fail_after(0.1), pytest.raises(derivtrio.ConnectionChanged):
                await world.client.buy(proposal)


async def test_g04_a_proposal_waits_for_the_writer_of_its_own_connection_only(
    autojump_clock: Any,
) -> None:
    """It came while its connection was being restored, and the restoration failed."""

    async def half_restored(peer: Peer, request: Request) -> None:
        if "ticks" not in request:
            await world.bank.handle(peer, request)
        elif peer.number == 1:
            await peer.reply(request, tick={"epoch": 1, "quote": 1}, subscription={"id": "t"})

    async with open_world() as world:
        world.server.handle = half_restored
        async with (
            world.client.proposal(PARAMETERS) as prices,
            world.client.subscribe({"ticks": "R_100"}),
        ):
            await anext(prices)
            await world.server.peers[-1].drop()
            proposal = await anext(prices)
            assert (proposal.connection, world.client.status.state.value) == (2, "restoring")
            async with trio.open_nursery() as nursery:

                async def buy() -> None:
                    with trio.fail_after(5), pytest.raises(derivtrio.ConnectionChanged):
                        await world.client.buy(proposal)

                nursery.start_soon(buy)
                await trio.sleep(3)
                world.server.refuses = True
                await world.server.peers[-1].drop()
    assert world.server.asked("buy") == []


async def test_an_order_that_waits_for_a_connection_is_sent_once_there_is_one(
    autojump_clock: Any,
) -> None:
    async with open_world() as world:
        world.server.refuses = True
        await world.server.peers[-1].drop()
        await trio.sleep(5)
        bought: list[derivtrio.Purchase] = []

        async def buy() -> None:
            bought.append(await world.client.buy(PARAMETERS, 10))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(buy)
            await trio.sleep(5)
            world.server.refuses = False
    assert [p.contract_id for p in bought] == [1001]
    assert len(world.bank.contracts) == 1


async def test_g04_an_order_that_waits_is_sent_once_though_connections_break_meanwhile(
    autojump_clock: Any,
) -> None:
    """Unlike the purchase of a proposal, it belongs to no connection."""
    bank = Bank()

    async def handle(peer: Peer, request: Request) -> None:
        if "authorize" not in request:
            await bank.handle(peer, request)
        elif peer.number in (1, 4):
            await peer.reply(request, authorize={"loginid": "CR-1"})
        else:
            await trio.sleep(2)
            await peer.drop()

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, token="1", settings=SETTINGS) as client,
    ):
        await server.peers[0].drop()
        await trio.sleep(2)  # the next connection is not authorized yet
        assert (await client.buy(PARAMETERS, 10)).contract_id == 1001
        assert len(server.asked("buy")) == 1
        assert client.status.connection == 4


async def test_an_unknown_outcome_knows_what_was_asked_for(autojump_clock: Any) -> None:
    async with open_world(lost_after) as world:
        async with world.client.proposal(PARAMETERS) as prices:
            proposal = await anext(prices)
            with pytest.raises(OutcomeUnknown) as caught:
                await world.client.buy(proposal)
    unknown = caught.value
    assert unknown.parameters == PARAMETERS
    assert (unknown.connection, unknown.request["buy"]) == (1, proposal.id)
    assert unknown.written_at > 0


async def test_g04_a_proposal_that_was_bought_is_recognized_by_its_own_terms(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the client has let go of what it asked the price for."""
    monkeypatch.setattr("derivtrio.calls.doubts._MOST_PROPOSALS", 0)
    async with open_world(lost_after) as world:
        async with world.client.proposal(PARAMETERS) as prices:
            price = await anext(prices)
        with pytest.raises(derivtrio.OutcomeUnknown) as caught:
            await world.client.buy(price)
        assert caught.value.parameters == PARAMETERS
        assert isinstance(await world.client.reconcile(caught.value), derivtrio.Bought)


async def test_a_doubt_brings_the_time_that_a_price_has_told(autojump_clock: Any) -> None:
    """No question was asked for it: by the server's clock it was not written before the spot."""
    async with open_world(lost_before) as world, world.client.proposal(PARAMETERS) as prices:
        price = await anext(prices)
        with pytest.raises(derivtrio.OutcomeUnknown) as caught:
            await world.client.buy(price)
        assert price.spot_time is not None
        assert caught.value.server_epoch is not None
        assert caught.value.server_epoch[0] == price.spot_time


async def test_g14_purchases_leave_no_scope_behind(autojump_clock: Any) -> None:
    def scopes() -> int:
        return sum(type(each) is trio.CancelScope for each in gc.get_objects())

    async with open_world() as world, world.client.proposal(PARAMETERS) as prices:
        price = await anext(prices)
        await world.client.buy(price)
        before = scopes()
        for _ in range(20):
            await world.client.buy(price)
        assert scopes() < before + 10


async def test_g12_an_order_whose_caller_was_cancelled_is_in_doubt_and_can_be_cleared_up(
    autojump_clock: Any,
) -> None:
    async def mute(peer: Peer, request: Request, execute: Any) -> None:
        """Neither execute nor answer."""

    async with open_world(answering_after(20), mute) as world:
        for _ in range(2):
            with trio.move_on_after(5):
                await world.client.buy(PARAMETERS, 10)
        first, second = world.client.doubts
        assert "went away" in str(first)
        bought = await world.client.reconcile(first)
        assert isinstance(bought, Bought)
        assert isinstance(await world.client.reconcile(second), NotBought)
        assert world.client.doubts == ()


async def test_g12_an_order_cancelled_before_it_was_written_is_in_no_doubt(
    autojump_clock: Any,
) -> None:
    async with open_world() as world:
        world.server.refuses = True
        await world.server.peers[-1].drop()
        await trio.sleep(1)
        with trio.move_on_after(5):
            await world.client.buy(PARAMETERS, 10)
        assert world.client.doubts == ()
        world.server.refuses = False
        await world.client.call({"time": 1})
    assert world.server.asked("buy") == []


async def test_g12_an_order_whose_time_is_up_is_not_written(autojump_clock: Any) -> None:
    async with open_world() as world:
        with trio.move_on_after(5) as scope:
            autojump_clock.jump(6)  # nobody has had a chance to notice
            await world.client.buy(PARAMETERS, 10)
        assert scope.cancelled_caught
        assert world.client.doubts == ()
        await world.client.call({"time": 1})
    assert world.server.asked("buy") == []


@pytest.mark.parametrize("said", [{"nothing": "useful"}, {"contract_id": 1001}])
async def test_a_confirmation_that_cannot_be_read_leaves_doubt(
    autojump_clock: Any, said: Request
) -> None:
    async def garbled(peer: Peer, request: Request, execute: Any) -> None:
        execute()
        await peer.reply(request, buy=said)

    async with open_world(garbled) as world:
        unknown = await in_doubt(world)
        assert "cannot be read" in str(unknown)
        assert world.client.doubts == (unknown,)
        assert isinstance(await world.client.reconcile(unknown), Bought)


async def test_reconcile_true_returns_what_was_done_all_the_same(autojump_clock: Any) -> None:
    async with open_world(lost_after, lost_after, lost_after) as world:
        client = world.client
        purchase = await client.buy(PARAMETERS, 10, reconcile=True)
        limits = await client.update_contract(purchase, take_profit=5, reconcile=True)
        sale = await client.sell(purchase, reconcile=True)
    assert purchase.contract_id == sale.contract_id == 1001
    assert (limits.take_profit, sale.sold_for) == (5, 7.5)


async def test_reconcile_true_raises_what_was_not_done(autojump_clock: Any) -> None:
    async with open_world() as world:
        client = world.client
        purchase = await client.buy(PARAMETERS, 10)
        world.bank.faults += [lost_before] * 4
        for attempt in (
            lambda: client.buy(PARAMETERS, 10, reconcile=True),
            lambda: client.sell(purchase, reconcile=True),
            lambda: client.cancel(purchase, reconcile=True),
            lambda: client.update_contract(purchase, stop_loss=1, reconcile=True),
        ):
            with pytest.raises(NotExecuted, match="not executed: ") as caught:
                await attempt()
            assert isinstance(caught.value.__cause__, OutcomeUnknown)


async def test_reconcile_true_raises_an_outcome_that_stays_unknown(autojump_clock: Any) -> None:
    async with open_world(lost_after, lost_before) as world:
        await in_doubt(world)
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.buy(PARAMETERS, 10, reconcile=True)
    assert isinstance(caught.value.outcome, Ambiguous)


async def test_g03_a_block_for_one_connection_does_not_hide_a_doubt(autojump_clock: Any) -> None:
    """With `reconcile`, the lookup is cancelled with the block; the trade may have been made."""
    async with open_world(lost_after) as world:
        with pytest.raises(ConnectionChanged, match="1 trade is in doubt") as caught:
            async with world.client.same_connection():
                await world.client.buy(PARAMETERS, 10, reconcile=True)
        [unknown] = world.client.doubts
        assert caught.value.__cause__ is unknown
        assert isinstance(await world.client.reconcile(unknown), Bought)
        with pytest.raises(ConnectionChanged) as caught:
            async with world.client.same_connection():
                await world.client.reconnect()
                await trio.sleep_forever()
        assert "doubt" not in str(caught.value)


async def test_a_doubt_that_nobody_is_told_of_is_logged(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """In the night the log is all there is: what, for how much, when, for whom."""

    async def never(peer: Peer, request: Request, execute: Any) -> None:
        await trio.sleep_forever()

    told = r"buy CALL R_100 stake 10 for at most 10, written at 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    async with open_world(never, never) as world:
        with trio.move_on_after(1):
            await world.client.buy(PARAMETERS, 10)
        [warning] = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
        assert re.fullmatch(rf".*went away.*\({told}; see client.doubts\)", warning)
        with trio.move_on_after(1):
            await world.client.sell(1001)
        caplog.clear()
    ends = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert [each.partition(",")[0] for each in ends] == [
        "still in doubt at the end: buy CALL R_100 stake 10 for at most 10",
        "still in doubt at the end: sell contract 1001",
    ]


async def test_a_traceback_says_which_order_is_in_doubt(autojump_clock: Any) -> None:
    """Of several orders at once there are several errors, all with the same text."""
    async with open_world(lost_after) as world:
        unknown = await in_doubt(world)
    for each in (unknown, pickle.loads(pickle.dumps(unknown))):
        *_, last = traceback.format_exception(each)
        assert last.startswith("buy CALL R_100 stake 10 for at most 10, written at 20")
        assert last.endswith("; client.reconcile finds out what has become of it\n")


async def test_only_the_newest_doubts_are_logged_at_the_end(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world(*[answering("Timeout", executing=False)] * 22) as world:
        for number in range(22):
            with pytest.raises(OutcomeUnknown):
                await world.client.cancel(1001 + number)
        caplog.clear()
    ends = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(ends) == 21
    assert ends[0].startswith("still in doubt at the end: cancel contract 1003,")
    assert ends[-1] == "and 2 older trades"


@pytest.mark.parametrize("attribute", ["request", "parameters", "written_at", "loginid"])
async def test_g02_a_doubt_that_was_spoilt_does_not_keep_the_client_from_ending(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture, attribute: str
) -> None:
    async with open_world(lost_after) as world:
        setattr(await in_doubt(world), attribute, float("nan"))
    assert "still in doubt at the end: buy CALL R_100 stake 10 for at most 10, " in caplog.text
