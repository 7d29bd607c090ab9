import inspect

import pytest
import trio
from wire_peer import START, open_peer, open_stream

from derivtrio.simulator import Faults, ScheduledFault, open_simulator, parse_fault, random_faults

_NO_FAULTS = ("next_handshake_fault", "next_rest_refusal", "wait_accepting")

WRITTEN = [
    ("drop@10", ScheduledFault(10, "drop")),
    ("freeze@20", ScheduledFault(20, "freeze")),
    ("close@0.5", ScheduledFault(0.5, "close")),
    ("close:1001:going away@30", ScheduledFault(30, "close", (1001, "going away"))),
    ("close:1001:see: a@b@30", ScheduledFault(30, "close", (1001, "see: a@b"))),
    ("close_without_fin:1001@30", ScheduledFault(30, "close_without_fin", (1001,))),
    ("refuse@12", ScheduledFault(12, "refuse")),
    ("refuse:5@12", ScheduledFault(12, "refuse", (5.0,))),
    ("reject:503@15", ScheduledFault(15, "reject", (503,))),
    ("delay:0.5@3", ScheduledFault(3, "delay", (0.5,))),
    ("garbage@1", ScheduledFault(1, "garbage")),
    ("garbage:a:b@1", ScheduledFault(1, "garbage", ("a:b",))),
    ("huge:100000@1", ScheduledFault(1, "huge", (100000,))),
    ("silence@1", ScheduledFault(1, "silence")),
    ("silence:3@1", ScheduledFault(1, "silence", (3,))),
    ("cut:3@1", ScheduledFault(1, "cut", (3,))),
    ("accept_then_close:1013:2@1", ScheduledFault(1, "accept_then_close", (1013, 2))),
    ("rest:429@5", ScheduledFault(5, "rest", (429,))),
    ("rest:429:RateLimit:slowly@5", ScheduledFault(5, "rest", (429, "RateLimit", "slowly"))),
    ("clear@100", ScheduledFault(100, "clear")),
    ("lose_after@1", ScheduledFault(1, "lose_after")),
    ("lose_before:buy:3@1", ScheduledFault(1, "lose_before", ("buy", 3))),
    ("fail_after:Timeout:sell@1", ScheduledFault(1, "fail_after", ("Timeout", "sell"))),
    ("answer_late:0.5:buy:2@1", ScheduledFault(1, "answer_late", (0.5, "buy", 2))),
    ("mute@600", ScheduledFault(600, "mute")),
    ("mute:R_100@600", ScheduledFault(600, "mute", ("R_100",))),
    ("mute:ticks:2@600", ScheduledFault(600, "mute", ("ticks", 2))),
    ("mute:streams:connection@6", ScheduledFault(6, "mute", ("streams", "connection"))),
    ("mute:calls:for_ever@6", ScheduledFault(6, "mute", ("calls", "for_ever"))),
    ("mute:calls_except_ping@6", ScheduledFault(6, "mute", ("calls_except_ping",))),
    ("backend_dead@6", ScheduledFault(6, "backend_dead")),
    ("backend_dead:0.5:2@6", ScheduledFault(6, "backend_dead", (0.5, 2))),
    ("id_storm:5000:1000@6", ScheduledFault(6, "id_storm", (5000, 1000))),
    ("poison:R_100@6", ScheduledFault(6, "poison", ("R_100",))),
    ("poison:R_100:crash:3:2@6", ScheduledFault(6, "poison", ("R_100", "crash", 3, 2))),
    ("poison:ticks:silent@6", ScheduledFault(6, "poison", ("ticks", "silent"))),
    ("poison:R_100:close:3:1012@6", ScheduledFault(6, "poison", ("R_100", "close", 3, 1012))),
    (
        "poison:R_100:huge:for_ever:99@6",
        ScheduledFault(6, "poison", ("R_100", "huge", "for_ever", 99)),
    ),
    ("late_subscription:5@6", ScheduledFault(6, "late_subscription", (5.0,))),
    (
        "late_subscription:5::1:before@6",
        ScheduledFault(6, "late_subscription", (5.0, "", 1, "before")),
    ),
    (
        "malform:ticks:tick.quote:NaN@6",
        ScheduledFault(6, "malform", ("ticks", "tick.quote", "NaN")),
    ),
    ("malform:time:time:@6", ScheduledFault(6, "malform", ("time", "time", ""))),
    ("malform:time:a:[{a:1@2}]@6", ScheduledFault(6, "malform", ("time", "a", "[{a:1@2}]"))),
    (
        "reject:503:1000000:1:Retry-After: 30@15",
        ScheduledFault(15, "reject", (503, 1000000, 1, "Retry-After: 30")),
    ),
]


@pytest.mark.parametrize(("text", "fault"), WRITTEN)
def test_a_fault_can_be_written_down(text: str, fault: ScheduledFault) -> None:
    assert parse_fault(text) == fault
    assert parse_fault(str(fault)) == fault


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("drop", "it has no time"),
        ("explode@5", "there is no 'explode', but refuse, silence"),
        ("drop:1@5", "drop takes 0 to 0 arguments"),
        ("reject@5", "reject takes 1 to 4 arguments"),
        ("accept_then_close:1000:2:3@5", "invalid literal"),
        ("close:abc@5", "invalid literal for int"),
        ("drop@soon", "could not convert string to float: 'soon'"),
        ("drop@-1", "-1 seconds is not after the start"),
        ("drop@nan", "nan seconds is not after the start"),
        ("drop@inf", "inf seconds is not after the start"),
        ("drop@1e400", "1e400 seconds is not after the start"),
        ("close:99999@5", "a close code is from 1000 to 4999, not 99999"),
        ("answer_late:nan:buy@5", "nan is not a number of seconds"),
        ("delay:-1@5", "-1 is not a number of seconds"),
        ("refuse:inf@5", "inf is not a number of seconds"),
        ("reject:99@5", "an HTTP status is from 200 to 599, not 99"),
        ("fragmented:0@5", "0 is too few"),
        ("lose_after:explode@5", "there is no call 'explode'"),
        ("_arm@5", "there is no '_arm'"),
        ("mute:R_101@5", "'R_101' cannot be mute, but a symbol, a contract id"),
        ("mute:ticks:0@5", "0 is too few"),
        ("mute:ticks:often@5", "'often' is neither a number of times, nor 'connection'"),
        ("backend_dead:0@5", "0 is not a number of seconds above 0"),
        ("poison@5", "poison takes 1 to 4 arguments"),
        ("poison:XYZ@5", "there is no call or symbol 'XYZ'"),
        ("poison:R_100:explode@5", "not 'explode'"),
        ("poison:R_100:crash:1:0@5", "0"),
        ("poison:R_100:silent:1:5@5", "silent takes no number"),
        ("late_subscription:5:XYZ@5", "there is no call or symbol 'XYZ'"),
        ("late_subscription:5::1:soon@5", "the ticks in between are lost, after, before"),
        ("malform:time:time@5", "malform takes 3 to 3 arguments"),
        ("malform:time:a..b:1@5", "the path of a member is like"),
        ("malform:explode:a:1@5", "there is no call 'explode'"),
        ("reject:503:1:1:Retry-After@5", "an HTTP header is like 'Retry-After: 30'"),
    ],
)
def test_what_cannot_be_understood_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        parse_fault(text)
    assert text in str(caught.value)


def test_every_fault_can_be_written_down() -> None:
    public = {
        name
        for name, member in inspect.getmembers(Faults, inspect.isfunction)
        if not name.startswith("_") and name not in _NO_FAULTS
    }
    least = {
        "reject": ":503",
        "rest": ":503",
        "delay": ":1",
        "fragmented": ":1",
        "huge": ":1",
        "cut": ":1",
    }
    least |= {"answer_late": ":1", "late_subscription": ":1", "poison": ":R_100"}
    least["malform"] = ":time:time:NaN"
    assert {parse_fault(f"{name}{least.get(name, '')}@1").name for name in public} == public


async def test_scheduled_faults_happen_at_their_times(autojump_clock: object) -> None:
    faults = ["refuse:5@20", "drop@10"]
    async with open_simulator(port=None, start=START, faults=faults) as sim:
        async with open_peer(sim) as peer:
            assert (await peer.ended()).code is None
            assert trio.current_time() == 10
        await trio.sleep_until(21)
        with pytest.raises(ConnectionRefusedError):
            await open_stream(sim)
        await trio.sleep_until(26)
        async with open_peer(sim) as peer:
            assert await peer.ask({"ping": 1})


async def test_a_bad_schedule_is_refused_before_anything_runs() -> None:
    with pytest.raises(ValueError, match="explode"):
        async with open_simulator(port=None, faults=["explode@1"]):
            raise AssertionError


def test_random_faults_are_the_same_for_the_same_seed() -> None:
    faults = random_faults(3, every=60, until=86400)
    assert faults == random_faults(3, every=60, until=86400)
    assert faults != random_faults(4, every=60, until=86400)


def test_random_faults_have_the_frequency_asked_for_and_many_kinds() -> None:
    faults = random_faults(1, every=60, until=86400)
    times = [fault.at for fault in faults]
    assert times == sorted(times)
    assert 1200 < len(faults) < 2600
    assert len({fault.name for fault in faults}) >= 10
    assert all(parse_fault(str(fault)).name == fault.name for fault in faults)


def test_hostile_faults_are_drawn_only_if_they_are_asked_for() -> None:
    hostile = random_faults(1, every=60, until=86400, hostile=True)
    names = {fault.name for fault in hostile}
    new = {"mute", "backend_dead", "id_storm", "poison", "late_subscription", "malform"}
    assert new < names
    assert hostile == random_faults(1, every=60, until=86400, hostile=True)
    assert all(parse_fault(str(fault)) == fault for fault in hostile)
    assert not new & {fault.name for fault in random_faults(1, every=60, until=86400)}


async def test_the_same_seed_and_faults_give_the_same_messages(autojump_clock: object) -> None:
    faults = [
        "late_subscription:2.5:R_100@0.5",
        "malform:ticks:tick.quote:NaN@5.5",
        "mute:1HZ100V@9.5",
        "id_storm:300:100@12.5",
        "poison:time:huge:1:500@20.5",
    ]
    runs = []
    for _ in range(2):
        async with (
            open_simulator(3, port=None, start=START, faults=faults) as sim,
            open_peer(sim) as peer,
        ):
            began = trio.current_time()
            await peer.ask({"ticks": "1HZ100V"})
            await trio.sleep(1)
            await peer.send({"ticks": "R_100"})
            texts = []
            with trio.move_on_at(began + 30):
                while True:
                    texts.append((await peer.text(), round(trio.current_time() - began, 3)))
            await peer.send({"time": 1})
            texts.append((await peer.text(), 0.0))
            runs.append(texts)
    assert runs[0] == runs[1]
    assert len(runs[0]) > 300


async def test_a_client_that_comes_back_survives_random_faults(autojump_clock: object) -> None:
    faults = random_faults(1, every=20, until=2000)
    pongs = 0
    async with open_simulator(port=None, start=START, faults=faults) as sim:
        while trio.current_time() < 2000:
            await trio.sleep(1)
            try:
                with trio.move_on_after(5):
                    async with open_peer(sim) as peer:
                        while trio.current_time() < 2000:
                            pongs += "ping" in (await peer.ask({"ping": 1}))
                            await trio.sleep(1)
            except Exception:  # noqa: BLE001  (a client of a few lines fails in many ways)
                pass
        sim.faults.clear()
        async with open_peer(sim) as peer:
            assert await peer.ask({"ping": 1})
    assert pongs > 500
    assert sim.connections == []
