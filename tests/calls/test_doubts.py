"""The trade log: what it keeps, and what it forgets."""

import time
from typing import Any

import pytest
import trio
import trio.testing

import derivtrio
from derivtrio.calls import doubts
from derivtrio.calls.call import Call, api_call
from derivtrio.calls.doubts import TradeLog, is_answered
from derivtrio.calls.queue import SendQueue
from derivtrio.calls.routing import Router
from derivtrio.calls.session import Session
from derivtrio.calls.status import EventBus
from derivtrio.errors import BrokenConnection, PeerClosed
from derivtrio.supervision.tasks import write_calls

BUY = {"buy": "1", "price": 10, "parameters": {"symbol": "R_100"}}


def trade(entries: TradeLog, answer: dict[str, Any] | None = None, **request: Any) -> Call:
    """Return a call that was written, and answered or lost."""
    call = api_call(request or BUY)
    entries.begin(call)
    call.written(1, 1, 60, trio.current_time())
    if answer is None:
        call.lost(BrokenConnection(1, 0, PeerClosed("closed by the server", 1006)))
    else:
        call.deliver(answer)
        call.handed_over = True
    entries.end(call)
    return call


async def test_what_is_bought_is_known_and_what_is_lost_is_in_doubt(autojump_clock: Any) -> None:
    entries = TradeLog()
    trade(entries, {"buy": {"contract_id": 7}})
    trade(entries, {"error": {"code": "PriceMoved"}})
    trade(entries, {"sell": {"contract_id": 8}}, sell=8, price=0)
    assert entries.doubts == ()
    assert entries.is_known(7)
    assert not entries.is_known(8)
    lost = trade(entries)
    trade(entries, sell=8, price=0)
    assert [u.request for u in entries.doubts] == [BUY, {"sell": 8, "price": 0}]
    assert entries.rivals_of(None) == [lost]
    assert entries.rivals_of(lost) == []
    entries.resolve(entries.doubts[0], derivtrio.NotBought("so it was"))
    assert entries.rivals_of(None) == []


async def test_an_order_under_way_is_a_rival_once_it_is_written(autojump_clock: Any) -> None:
    entries, call = TradeLog(), api_call(BUY)
    entries.begin(call)
    assert entries.rivals_of(None) == []
    call.written(1, 1, 60, trio.current_time())
    assert entries.rivals_of(None) == [call]
    assert not is_answered(call)
    call.deliver({"buy": {"contract_id": 7}})
    assert is_answered(call)
    assert entries.is_under_way(call)
    assert entries.rivals_of(None) == []
    assert entries.is_known(7)  # though its caller has not heard yet
    entries.end(call)
    assert not entries.is_under_way(call)


async def test_what_an_older_doubt_may_be_mistaken_for_is_kept(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubts, "_MOST_KNOWN", 100)
    entries = TradeLog()
    doubt = trade(entries)
    for contract_id in range(100):
        await trio.sleep(1)
        entries.know(contract_id)
    assert doubt.written_mono is not None
    assert not entries.is_evicted(doubt.written_mono)
    assert all(entries.is_known(contract_id) for contract_id in range(100))
    for contract_id in range(100, 201):
        await trio.sleep(10)
        entries.know(contract_id)
    assert entries.is_evicted(doubt.written_mono), "too much of that time is forgotten"
    assert not entries.is_evicted(trio.current_time())
    assert len(entries._known) <= 100  # noqa: SLF001


async def test_without_doubts_old_purchases_are_forgotten_in_silence(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubts, "_MOST_KNOWN", 100)
    entries = TradeLog()
    for contract_id in range(1000):
        await trio.sleep(10)
        entries.know(contract_id)
    assert not entries.is_evicted(0)
    assert entries.is_known(999)
    assert not entries.is_known(0)


async def test_doubts_that_nobody_clears_up_do_not_pile_up_for_ever(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubts, "_MOST_DOUBTS", 10)
    entries = TradeLog()
    first = trade(entries)
    for _ in range(12):
        await trio.sleep(100)
        trade(entries)
    assert len(entries.doubts) == 10
    assert first.written_mono is not None
    assert entries.is_evicted(first.written_mono + 100)
    assert not entries.is_evicted(trio.current_time())


async def test_a_verdict_lives_as_long_as_its_question(autojump_clock: Any) -> None:
    entries = TradeLog()
    trade(entries)
    [unknown] = entries.doubts
    entries.resolve(unknown, derivtrio.NotBought("so it was"))
    assert entries.outcomes[unknown] == derivtrio.NotBought("so it was")
    del unknown
    assert len(entries.outcomes) == 0


class Wire:
    """A connection as the writer knows it."""

    number = 2

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, *texts: str) -> None:
        await trio.lowlevel.checkpoint()
        self.sent += texts


async def test_g03_a_call_meant_for_a_connection_that_is_gone_ends_with_that(
    autojump_clock: Any,
) -> None:
    wire: Any = Wire()
    session = Session(derivtrio.Settings(), "v3", SendQueue(5), Router(), EventBus())
    old, new = api_call({"time": 1}, only_on=1), api_call({"time": 1}, only_on=2)
    await write_calls(wire, session, old, new)
    with trio.fail_after(1), pytest.raises(derivtrio.ConnectionChanged, match="not sent"):
        await old.wait()
    assert len(wire.sent) == 1
    assert new.written_wall == pytest.approx(time.time(), abs=60)


async def test_g04_a_purchase_that_is_answered_when_its_caller_is_cancelled_is_in_doubt() -> None:
    """The server has said what became of it, and the caller has not heard it."""
    entries, call = TradeLog(), api_call(BUY)
    entries.begin(call)
    call.written(1, 1, 60, trio.current_time())
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.wait)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            call.deliver({"buy": {"contract_id": 7}})  # before the caller has run
    entries.end(call)
    assert scope.cancelled_caught
    assert [unknown.request["buy"] for unknown in entries.doubts] == ["1"]
    assert entries.call_of(entries.doubts[0]) is call
    assert is_answered(call)


async def test_g04_a_purchase_for_several_accounts_that_was_evicted_still_forbids_a_claim(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubts, "_MOST_BULK_BUYS", 3)
    entries = TradeLog()
    request = {doubts.BULK_BUY: "1", "price": 10, "tokens": ["a"]}
    entries.begin_bulk(first := api_call(request))
    first.written(1, 1, 60, trio.current_time())
    await trio.sleep(1000)
    assert entries.has_bulk_buy(100)
    assert not entries.is_evicted(500)
    for _ in range(3):
        entries.begin_bulk(api_call(request))
    assert not entries.has_bulk_buy(100)
    assert entries.is_evicted(500)


@pytest.mark.parametrize("payload", [None, 5, [], {}, {"id": 7}])
async def test_a_proposal_that_is_none_tells_nothing_of_what_is_bought(
    autojump_clock: Any, payload: Any
) -> None:
    entries = TradeLog()
    entries.note_proposal({"proposal": 1, "symbol": "R_100"}, {"proposal": payload})
    entries.begin(call := api_call({"buy": "7", "price": 10}))
    assert call.terms is None


async def test_only_the_newest_proposals_are_remembered(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubts, "_MOST_PROPOSALS", 3)
    entries = TradeLog()
    for number in range(4):
        entries.note_proposal({"proposal": 1, "n": number}, {"proposal": {"id": f"p{number}"}})
    orders = [api_call({"buy": f"p{number}", "price": 10}) for number in range(4)]
    for order in orders:
        entries.begin(order)
    assert [order.terms and order.terms["n"] for order in orders] == [None, 1, 2, 3]


async def test_an_answer_about_another_contract_says_nothing(autojump_clock: Any) -> None:
    entries = TradeLog()
    sold = trade(entries, {"sell": {"contract_id": 9}}, sell=8, price=0)
    assert not entries.is_known(9, "sold")
    assert not is_answered(sold)
    assert is_answered(trade(entries, {"sell": {"contract_id": 8}}, sell=8, price=0))
    assert entries.is_known(8, "sold")


@pytest.mark.parametrize(("payload", "answered"), [({}, True), (None, False), ([], False)])
async def test_an_update_is_answered_by_limits(
    autojump_clock: Any, *, payload: Any, answered: bool
) -> None:
    request = {"contract_update": 1, "contract_id": 8, "limit_order": {}}
    assert is_answered(trade(TradeLog(), {"contract_update": payload}, **request)) is answered
