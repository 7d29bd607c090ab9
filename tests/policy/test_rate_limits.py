"""The arithmetic of the budgets, and the order of those who wait for them. No clock, no network."""

import math
import pickle
from bisect import bisect_left
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import derivtrio
from derivtrio.api.catalog import NAMES
from derivtrio.calls.raw import raw_call
from derivtrio.policy.pacer import Pacer
from derivtrio.policy.rate_limits import (
    PATIENCE,
    Budgets,
    Group,
    Urgency,
    budgets_for,
    urgency_of,
)
from derivtrio.policy.throttling import LeakyBucket, Stopwatch, WaitingRoom

TRADE, USER, RESTORATION = Urgency.TRADE, Urgency.USER, Urgency.RESTORATION

#: What Deriv's documents say: calls, and requests in a minute and in an hour.
V3 = [
    ({"portfolio", "statement", "proposal"}, 30, 1500),
    ({"proposal", "proposal_open_contract"}, 80, 3600),
    (NAMES - {"portfolio", "statement", "proposal", "proposal_open_contract", "ping"}, 220, 14400),
]
OPTIONS = [
    ({"proposal", "proposal_open_contract", "buy", "sell"}, 360, 14400),
    ({"balance", "statement"}, 100, 2000),
    ({"portfolio", "profit_table"}, 30, 1500),
]


def most_within(times: list[float], length: float) -> int:
    """Return the most of *times* (sorted) that any half-open window of *length* contains."""
    return max((bisect_left(times, t + length) - n for n, t in enumerate(times)), default=0)


def spent(budgets: Budgets, name: str, urgency: Urgency = TRADE, now: float = 0) -> int:
    """Return how many calls may go at once."""
    count = 0
    while budgets.admit(name, urgency, now):
        count += 1
    return count


def documented(generation: str = "v3") -> Budgets:
    return budgets_for(generation, advertised=False)


calls = st.lists(
    st.tuples(
        st.floats(0, 400, allow_nan=False),
        st.sampled_from(["proposal", "proposal_open_contract", "portfolio", "sell", "time"]),
        st.sampled_from(list(Urgency)),
        st.integers(1, 150),
    ),
    max_size=12,
)


@given(st.sampled_from([("v3", V3), ("options", OPTIONS)]), calls)
def test_g08_no_window_has_more_than_the_budget_and_nobody_waits_in_vain(
    table: tuple[str, Any], bursts: Any
) -> None:
    generation, groups = table
    budgets, now = documented(generation), 0.0
    sent: list[tuple[float, str]] = []
    for pause, name, urgency, count in bursts:
        now += pause
        for _ in range(count):
            while not budgets.admit(name, urgency, now):
                group, until = budgets.limiting(name, urgency, now)
                assert until > now
                before = math.nextafter(until, -math.inf)
                assert not budgets.admit(name, urgency, before), group
                now = until
            sent.append((now, name))
    for names, minutely, hourly in groups:
        times = [time for time, name in sent if name in names]
        assert most_within(times, 60) <= minutely
        assert most_within(times, 3600) <= hourly


@pytest.mark.parametrize(
    ("generation", "name", "minutely"),
    [
        ("v3", "time", 220),
        ("v3", "buy", 220),
        ("v3", "a call that nobody knows", 220),
        ("v3", "proposal_open_contract", 80),
        ("v3", "proposal", 30),  # named in two texts: the smaller one holds
        ("v3", "statement", 30),
        ("options", "buy", 360),
        ("options", "balance", 100),
        ("options", "profit_table", 30),
        ("options", "ticks", 220),
    ],
)
def test_g08_almost_all_of_a_budget_can_be_used(generation: str, name: str, minutely: int) -> None:
    assert 0.92 * minutely < spent(documented(generation), name) < 0.96 * minutely


def test_g08_the_hour_counts_too() -> None:
    budgets, now, count = documented(), 0.0, 0
    while now < 3600:
        count += spent(budgets, "statement", now=now)
        now += 61.2
    assert 0.92 * 1500 < count < 0.96 * 1500


def test_g08_a_call_in_two_groups_counts_in_both() -> None:
    budgets = documented()
    assert spent(budgets, "proposal") == spent(documented(), "statement")
    assert not budgets.admit("statement", TRADE, 0)
    assert budgets.admit("proposal_open_contract", TRADE, 0)


def test_g08_less_urgent_requests_leave_room_for_more_urgent_ones() -> None:
    budgets = documented()
    storm = spent(budgets, "ticks", RESTORATION)
    users = spent(budgets, "ticks", USER)
    sales = spent(budgets, "sell", TRADE)
    assert (storm, users, sales) == (167, 31, 11)
    assert budgets.limiting("ticks", RESTORATION, 1.0) == ("general", pytest.approx(61.2))


@given(st.integers(1, 400))
def test_g08_the_smallest_budget_lets_something_go(most: int) -> None:
    budgets = budgets_for("v3", advertised=True)
    advertised = {"max_requestes_general": {"minutely": most, "hourly": 60 * most}}
    budgets.learn({"website_status": {"api_call_limits": advertised}})
    room = [budgets.of("time")[0].room_at(urgency, 0) for urgency in Urgency]
    assert room == [0, 0, 0]
    storm, users = spent(budgets, "ticks", RESTORATION), spent(budgets, "ticks", USER)
    assert storm >= 1
    assert storm + users + spent(budgets, "sell", TRADE) <= max(1, 0.95 * most)
    if most > 3:
        assert users >= 0
        assert storm + users < max(1, int(0.95 * most))


def test_g08_ten_pings_in_a_second() -> None:
    budgets = documented()
    assert spent(budgets, "ping", USER) == 8
    budgets.count("ping", 0)  # the heartbeat
    assert budgets.limiting("ping", USER, 0) == ("ping", pytest.approx(1.02))


def test_g08_what_the_server_has_not_said_is_used_with_care() -> None:
    budgets = budgets_for("v3", advertised=True)
    assert spent(budgets, "ticks", RESTORATION) == 9
    assert spent(budgets, "time", USER) == 1
    assert spent(budgets, "sell", TRADE) == 42
    assert spent(budgets, "ping") == 9
    budgets.learn(advertising(180, 14400))
    assert 52 + spent(budgets, "time") == 171


def advertising(minutely: int, hourly: int) -> dict[str, Any]:
    limits = {"minutely": minutely, "hourly": hourly}
    return {"website_status": {"api_call_limits": {"max_requestes_general": limits}}}


def test_g08_other_limits_make_up_for_refusals_under_the_former() -> None:
    budgets = budgets_for("v3", advertised=True)
    budgets.refused("time", "RateLimit", 0)
    assert spent(budgets, "time", USER, 30) == 5
    budgets.refused("time", "RateLimit", 30)
    budgets.learn(advertising(40, 1000), now=40)
    assert 5 + spent(budgets, "time", USER, 40) == 36
    assert budgets.refused("time", "RateLimit", 41, written=40) == pytest.approx(50.2)
    assert not budgets.paused(41)  # it was sent before
    budgets.refused("time", "RateLimit", 110, written=109)
    assert budgets.paused(110)
    budgets.learn(advertising(40, 1000), now=120)  # which is nothing new
    assert budgets.paused(120)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"website_status": None},
        {"website_status": {"api_call_limits": []}},
        {"website_status": {"api_call_limits": {"max_requestes_general": 5}}},
        {"website_status": {"api_call_limits": {"max_requestes_general": {"minutely": "5"}}}},
        {"website_status": {"api_call_limits": {"max_requestes_general": {"minutely": 0}}}},
    ],
)
def test_g08_a_server_that_does_not_say_is_taken_for_the_documented_one(message: Any) -> None:
    budgets = budgets_for("v3", advertised=True)
    budgets.learn(message)
    assert spent(budgets, "time") == 209


def test_g08_a_refusal_pauses_the_group_and_halves_it() -> None:
    budgets = documented()
    assert budgets.refused("statement", "RateLimit", 0) == 15
    assert budgets.refused("statement", "RateLimit", 14) == 1  # one burst, one pause
    assert not budgets.admit("statement", USER, 14.9)
    assert budgets.admit("statement", TRADE, 14.9)
    assert budgets.admit("time", USER, 0)
    assert spent(budgets, "statement", now=100) == 14
    assert budgets.refused("statement", "RateLimit", 1000) == 15  # the first one is forgiven
    assert budgets.refused("statement", "RateLimit", 1020) == 30
    assert spent(budgets, "statement", now=1100) == 7
    assert spent(budgets, "statement", now=5000) == 28


def test_g08_refusals_of_what_was_only_guessed_are_forgiven() -> None:
    budgets = budgets_for("v3", advertised=True)
    budgets.refused("time", "RateLimit", 0.0)
    assert not budgets.admit("time", Urgency.USER, 1.0)
    limits = {"max_requestes_general": {"minutely": 100, "hourly": 1000}}
    budgets.learn({"website_status": {"api_call_limits": limits}})
    assert sum(budgets.admit("time", Urgency.USER, 1.0) for _ in range(200)) == 90
    budgets.refused("time", "RateLimit", 70.0)
    budgets.learn({"website_status": {"api_call_limits": limits}})
    assert not budgets.admit("time", Urgency.USER, 70.0)


def test_g08_pauses_grow_up_to_eight_minutes() -> None:
    group, now, pauses = Group("general", {60.0: 220}), 0.0, []
    for _ in range(9):
        group.refused(now)
        pauses.append(group.paused_until - now)
        now = group.paused_until
    assert pauses == [15, 30, 60, 120, 240, 480, 480, 480, 480]
    assert group.has_room(USER, now)
    assert max(pauses) + 3600 < PATIENCE


def test_g08_refusals_of_another_kind_are_not_about_the_budgets() -> None:
    budgets = documented()
    assert budgets.refused("contract_update", "TooFrequentUpdate", 0) is None
    assert budgets.admit("contract_update", USER, 0)
    assert Budgets().refused("time", "RateLimit", 0) is None


def test_selling_is_urgent() -> None:
    assert [urgency_of(name) for name in ("sell", "cancel", "contract_update")] == [TRADE] * 3
    assert [urgency_of(name) for name in ("buy", "time", "ping")] == [USER] * 3


def test_g08_raw_messages_count_as_what_they_are() -> None:
    assert raw_call('{"proposal": 1}').name == "proposal"
    assert raw_call({"sell": 1, "price": 0}).urgency is TRADE
    for data in ('{"no": "call"}', "no JSON", "[]", b"\x00"):
        assert raw_call(data).name == "a raw message"


def test_a_pacer_has_one_set_of_budgets_for_each_generation() -> None:
    pacer = Pacer()
    assert repr(pacer) == "<derivtrio.Pacer of no client yet>"
    v3 = pacer.budgets("v3", advertised=True)
    assert pacer.budgets("v3", advertised=True) is v3
    assert pacer.budgets("options", advertised=False) is not v3
    assert repr(pacer) == "<derivtrio.Pacer of v3, options>"
    assert derivtrio.Pacer is Pacer


@attrs.define(eq=False)
class Request:
    name: str
    urgency: Urgency = USER
    restores: bool = False
    wanted: bool = True


def leaving(room: WaitingRoom[Request], now: float) -> list[Request]:
    out = []
    while (request := room.leave(now)) is not None:
        out.append(request)
    return out


def test_g08_who_waits_leaves_by_urgency_and_then_by_age() -> None:
    room: WaitingRoom[Request] = WaitingRoom(documented())
    names = [("time", USER), ("ticks", RESTORATION), ("buy", USER), ("sell", TRADE)]
    requests = [Request(*each) for each in names]
    for request in requests:
        room.add(request)
    asked_again = Request("time")
    room.add_first(asked_again)
    assert list(room) == [asked_again, *requests]
    assert leaving(room, 0) == [requests[3], asked_again, requests[0], requests[2], requests[1]]
    assert not room


def test_g08_nobody_is_held_up_by_those_who_wait_for_something_else() -> None:
    budgets = documented()
    spent(budgets, "statement")
    room: WaitingRoom[Request] = WaitingRoom(budgets)
    waiting = [Request(name) for name in ("portfolio", "time", "proposal", "statement", "ticks")]
    for request in waiting:
        room.add(request)
    assert leaving(room, 1) == [waiting[1], waiting[4]]
    assert room.stopped(1) == {"outcome": pytest.approx(61.2)}
    assert leaving(room, 61.2) == [waiting[0], waiting[2], waiting[3]]
    assert room.stopped(61.2) == {}


def test_g08_who_needs_two_budgets_is_not_passed_for_ever() -> None:
    budgets = documented()
    spent(budgets, "proposal_open_contract", USER)
    room: WaitingRoom[Request] = WaitingRoom(budgets)
    needy = Request("proposal")
    room.add(needy)
    assert leaving(room, 1) == []
    spent(budgets, "statement", USER, 30)
    for _ in range(100):  # both kinds of rivals are always there
        room.add(Request("statement"))
        room.add(Request("proposal_open_contract"))
    assert needy not in leaving(room, 61.2)
    assert room.stopped(61.2) == {"outcome": pytest.approx(91.2)}  # nobody can go before that
    assert needy in leaving(room, 92)


_two_groups = st.sampled_from(["proposal", "proposal_open_contract", "statement", "time"])


@given(
    st.lists(
        st.tuples(_two_groups, st.sampled_from(Urgency), st.booleans(), st.integers(0, 30)),
        max_size=60,
    )
)
def test_g08_while_somebody_waits_there_is_a_time_to_look_again(
    steps: list[tuple[str, Urgency, bool, int]],
) -> None:
    """That lies in the future, or else the writer would look again and again."""
    budgets = documented()
    for group in budgets.groups:
        group.limits = {60.0: 4, 3600.0: 40}
        group.set_caps()
    room: WaitingRoom[Request] = WaitingRoom(budgets)
    now = 0.0
    for name, urgency, refused, pause in steps:
        now += pause
        room.add(Request(name, urgency))
        if refused:
            budgets.refused(name, "RateLimit", now)
        leaving(room, now)
        until = room.stopped(now)
        assert all(now < time < math.inf for time in until.values())
        assert bool(until) == bool(room)


def test_g08_nothing_leaves_that_is_less_urgent_than_max_urgency() -> None:
    room: WaitingRoom[Request] = WaitingRoom(documented(), None)
    user, urgent = Request("time"), Request("sell", TRADE)
    room.add(user)
    room.add(urgent)
    assert leaving(room, 0) == []
    room.max_urgency = TRADE
    assert leaving(room, 0) == [urgent]
    assert room.stopped(0) == {}
    room.max_urgency = USER
    room.remove(user)
    room.remove(user)
    assert (len(room), leaving(room, 0), room.clear()) == (0, [], [])


def test_a_room_is_empty_once_it_is_cleared() -> None:
    room: WaitingRoom[Request] = WaitingRoom(documented())
    first, second, third = Request("time"), Request("sell", TRADE), Request("time")
    room.add(third)
    room.add_first(second)
    room.add_first(first)
    assert list(room) == [first, second, third]
    assert (len(room), room.clear()) == (3, [first, second, third])
    assert (len(room), list(room)) == (0, [])


def test_what_is_put_first_is_first_among_its_kind() -> None:
    room: WaitingRoom[Request] = WaitingRoom(documented())
    last, second, first = Request("time"), Request("time"), Request("time")
    room.add(last)
    room.add_first(second)
    room.add_first(first)
    assert leaving(room, 0) == [first, second, last]


def test_g08_who_waits_holds_up_only_what_it_has_waited_for() -> None:
    budgets = documented()
    spent(budgets, "proposal_open_contract")
    room: WaitingRoom[Request] = WaitingRoom(budgets)
    waiting = [Request(name) for name in ("proposal", "statement", "proposal_open_contract")]
    for request in waiting:
        room.add(request)
    assert leaving(room, 1) == [waiting[1]]  # its group had room for the proposal, too
    assert room.stopped(1) == {"pricing": pytest.approx(61.2)}


def test_g08_of_two_that_wait_for_one_group_the_sooner_time_counts() -> None:
    budgets = documented()
    for _ in range(10):
        assert budgets.admit("ticks", RESTORATION, 0.0)
    spent(budgets, "ticks", TRADE, 30.0)
    room: WaitingRoom[Request] = WaitingRoom(budgets)
    room.add(Request("ticks", RESTORATION))
    room.add(Request("sell", TRADE))
    assert room.stopped(31.0) == {"general": pytest.approx(61.2)}


def test_what_restores_a_connection_can_become_as_urgent_as_user_calls() -> None:
    room: WaitingRoom[Request] = WaitingRoom(documented())
    restoring, storm = (
        Request("authorize", RESTORATION, restores=True),
        Request("ticks", RESTORATION),
    )
    user = Request("time")
    for request in (storm, restoring, user):
        room.add(request)
    assert room.holds_restoration
    room.promote()
    assert [each.urgency for each in (restoring, storm, user)] == [USER, RESTORATION, USER]
    assert leaving(room, 0) == [user, restoring, storm]
    assert not room.holds_restoration


def test_g08_what_the_server_did_not_refuse_may_go_at_once() -> None:
    budgets = budgets_for("v3", advertised=True)
    assert budgets.advertised
    assert Pacer().budgets("v3", advertised=True).advertised
    assert not documented().advertised
    budgets.learn(
        {"website_status": {"api_call_limits": {"max_requestes_general": {"hourly": 9}}}}, 5
    )
    assert budgets.refused("time", "RateLimit", 6.0, written=4.0) == 0  # it was under other limits
    assert Budgets().limiting("time", USER, 3.0) == ("", 3.0)


def test_g08_a_pause_holds_back_all_but_trades_and_ends_on_time() -> None:
    budgets = documented()
    assert budgets.refused("time", "RateLimit", 0.0) == 15
    assert budgets.limiting("sell", TRADE, 1.0) == ("general", 1.0)
    assert budgets.limiting("time", USER, 1.0) == ("general", 15.0)
    assert budgets.paused(14.9) == {"general"}
    assert budgets.paused(15.0) == set()


def test_g08_a_call_that_does_not_wait_counts_in_its_own_group() -> None:
    budgets = documented()
    for _ in range(9):
        budgets.count("ping", 0.0)
    assert not budgets.admit("ping", TRADE, 0.0)
    assert spent(budgets, "time") == spent(documented(), "time")


def test_g14_the_pings_of_a_year_are_not_kept() -> None:
    budgets = budgets_for("v3", advertised=True)
    for n in range(10_000):
        budgets.count("ping", 25.0 * n)
    (group,) = budgets.of("ping")
    assert len(pickle.dumps(group)) < 2000


def test_g08_a_group_awaits_limits_until_the_server_has_said_them() -> None:
    budgets = budgets_for("v3", advertised=True)
    assert budgets.awaits_limits("outcome", 0.0)
    budgets.refused("statement", "RateLimit", 0.0)
    assert not budgets.awaits_limits("outcome", 14.9)
    assert budgets.awaits_limits("outcome", 15.0)
    assert budgets.awaits_limits("general", 0.0)
    budgets.learn({})
    assert not budgets.awaits_limits("general", 0.0)


@pytest.mark.parametrize(("now", "cap"), [(644.9, 52), (645, 104), (1244.9, 104), (1245, 209)])
def test_g08_refusals_are_forgiven_one_by_one_after_ten_minutes_each(now: float, cap: int) -> None:
    budgets = documented()
    budgets.refused("time", "RateLimit", 0.0)
    budgets.refused("time", "RateLimit", 15.0)
    assert spent(budgets, "time", now=now) == cap


def test_a_stopwatch_adds_up_what_was_the_case() -> None:
    watch = Stopwatch()
    assert watch.read(5) == 0
    watch.note(10, running=False)
    watch.note(10, running=True)
    watch.note(12, running=True)
    assert watch.read(13) == 3
    watch.note(14, running=False)
    watch.note(15, running=False)
    assert watch.read(20) == 4
    watch.note(30, running=True)
    assert watch.read(31) == 5


def test_g18_a_bucket_counts_what_comes_faster_than_it_leaks() -> None:
    bucket = LeakyBucket(0.5)
    assert bucket.add(3, 100) == 3
    assert bucket.add(1, 102) == 3
    assert bucket.add(1, 102) == 4
    assert bucket.add(1, 1000) == 1
    bucket.empty()
    assert bucket.add(2, 1000) == 2


def test_g08_what_is_not_known_is_used_with_care_each_minute_and_with_more_after_refusals() -> None:
    budgets = budgets_for("v3", advertised=True)
    at_once = spent(budgets, "time", USER)
    assert at_once == 10
    assert spent(budgets, "time", USER, 61.3) == at_once  # the hour has room
    for now in (100, 200, 300):
        budgets.refused("time", "RateLimit", now)
    assert spent(budgets, "time", RESTORATION, 500) == 1
