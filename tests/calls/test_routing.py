"""Which message belongs to which request."""

from typing import Any

import pytest

from derivtrio.calls.routing import Router, Stream, stream_id_of
from derivtrio.streams.upstream import Upstream


class Taker:
    tick_route = None
    ids: tuple[str, ...] = ()
    over = False

    def __init__(self, following: Any = None) -> None:
        self.taken: list[dict[str, Any]] = []
        self.following = following

    def deliver(self, message: dict[str, Any]) -> Stream | None:
        self.taken.append(message)
        return self if self.following == "self" else self.following  # type: ignore[no-any-return]

    def deliver_all(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return messages

    def lost(self, why: str) -> None:
        raise NotImplementedError


def streaming(req_id: int, stream_id: str) -> dict[str, Any]:
    return {"req_id": req_id, "msg_type": "tick", "subscription": {"id": stream_id}}


def test_a_reply_goes_to_its_request_and_to_it_once() -> None:
    router, first, second = Router(), Taker(), Taker()
    ids = [router.register(first), router.register(second)]
    router.route({"req_id": ids[1], "n": 1})
    router.route({"req_id": ids[1], "n": 2})
    router.route({"echo_req": {"req_id": ids[0]}, "n": 3})
    assert [m["n"] for m in first.taken] == [3]
    assert [m["n"] for m in second.taken] == [1]
    assert router.clear() == []


def test_a_call_hands_over_to_the_stream_it_has_opened() -> None:
    router = Router()
    stream = Taker("self")
    req_id = router.register(Taker(stream))
    for _ in range(3):
        router.route(streaming(req_id, "a"))
    assert len(stream.taken) == 2
    assert router.unwanted == []
    router.remove_receiver(stream)
    router.route(streaming(req_id, "a"))
    router.route(streaming(req_id, "a"))
    assert router.unwanted == ["a"]


def test_g06_a_stream_that_is_left_takes_no_other_along() -> None:
    router, left, stays = Router(), Taker("self"), Taker("self")
    ids = [router.register(Taker(stream)) for stream in (left, stays)]
    for _ in range(2):
        for req_id in ids:
            router.route(streaming(req_id, str(req_id)))
    router.remove_receiver(left)
    for req_id in ids:
        router.route(streaming(req_id, str(req_id)))
    assert (len(left.taken), len(stays.taken)) == (1, 2)
    assert router.unwanted == [str(ids[0])]


def test_a_stream_nobody_wants_is_noted_once() -> None:
    router = Router()
    req_id = router.register(Taker())
    router.route(streaming(req_id, "a"))
    router.route(streaming(req_id, "a"))
    router.note_unwanted("a")
    assert router.unwanted == ["a"]


def test_foreign_and_odd_messages_are_left_alone() -> None:
    router = Router()
    taker = Taker("self")
    req_id = router.register(taker)
    for message in (
        {},
        streaming(2**31, "theirs"),
        {"req_id": "1"},
        {"req_id": None, "echo_req": 5},
        {"req_id": [1]},
        {"req_id": True},
        {"req_id": float(req_id)},
        {"echo_req": {"req_id": {}}},
        {"req_id": req_id, "subscription": 7},
        {"req_id": req_id, "error": {"code": "X"}, "subscription": {"id": 7}},
    ):
        router.route(message)
    assert router.unwanted == []
    assert len(taker.taken) == 2


def test_g06_an_id_that_is_given_again_is_unwanted_again() -> None:
    router = Router()
    first, second = (router.register(Taker(None)) for _ in range(2))
    message = {"subscription": {"id": "a"}, "tick": {}}
    seen: list[int] = []
    router.route({"req_id": first, **message})
    for req_id in (first, first, second, first, second):  # what is on its way counts no more
        router.route({"req_id": req_id, **message})
        seen.append(len(router.unwanted))
    assert seen == [1, 1, 2, 2, 2]
    router.note_unwanted("a")
    assert len(router.unwanted) == 2
    router.note_unwanted("a", granted=True)  # whoever had it just now says so
    router.route({"req_id": second, **message})
    assert len(router.unwanted) == 3


def test_g14_given_up_streams_are_remembered_within_bounds() -> None:
    router = Router()
    for n in range(5000):
        router.note_unwanted(str(n))
        router.unwanted.clear()
    router.note_unwanted("4999")
    assert router.unwanted == []
    router.note_unwanted("0")
    assert router.unwanted == ["0"]


def test_g03_no_req_id_is_used_twice_across_connections() -> None:
    router = Router()
    first = [router.register(Taker()) for _ in range(3)]
    assert len(router.clear()) == 3
    assert not {*first} & {router.register(Taker()) for _ in range(3)}


class Streaming(Taker):
    """A stream: takes what is usual in one go, and everything else singly."""

    def __init__(self) -> None:
        super().__init__("self")
        self.runs: list[int] = []

    def deliver_all(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if any("error" in message for message in messages):
            return messages
        self.taken += messages
        self.runs.append(len(messages))
        return []


def test_messages_that_follow_each_other_in_a_stream_go_together_and_nothing_overtakes() -> None:
    router, streams = Router(), [Streaming(), Streaming()]
    ids = [router.register(Taker(stream)) for stream in streams]
    call = Taker()
    asked = router.register(call)
    one, other = ids
    order = [one, other, one, one, asked, one, other, other, other, one]
    sent: list[dict[str, Any]] = [{"req_id": req_id, "n": n} for n, req_id in enumerate(order)]
    sent[7]["error"] = {}
    router.route_all(sent)
    numbers = [[message["n"] for message in stream.taken] for stream in streams]
    assert numbers == [[2, 3, 5, 9], [6, 7, 8]]  # the first of each was the reply
    assert streams[0].runs == [2, 1, 1]
    assert call.taken == [sent[4]]
    last: list[dict[str, Any]] = [{"req_id": one}, {"req_id": one, "error": {}}]
    router.route_all(last)
    assert streams[0].taken[-2:] == last  # what ends a batch singly is not passed over


def shared(*ids: str) -> tuple[Upstream, list[dict[str, Any]]]:
    """Return a stream that has these ids, and what its consumer gets."""
    upstream = Upstream("ticks", {"ticks": list(ids)}, lambda _: None, lambda _: None)
    for stream_id in ids:
        upstream.deliver({"tick": {"symbol": stream_id}, "subscription": {"id": stream_id}})
    taken: list[dict[str, Any]] = []

    class Consumer:
        def take(self, message: dict[str, Any]) -> bool:
            taken.append(message)
            return True

        def take_all(self, messages: list[dict[str, Any]]) -> bool:
            taken.extend(messages)
            return len(messages) < 3

    consumer: Any = Consumer()
    upstream.attach(consumer, replay=False)
    return upstream, taken


@pytest.mark.parametrize(
    "odd",
    [
        {"error": {"code": "WrongResponse"}, "subscription": {"id": "a"}},
        {"subscription": {"id": "new"}},
        {"subscription": {"id": 5}},
        {"subscription": "a"},
        {},
    ],
)
def test_a_run_with_anything_unusual_in_it_is_delivered_one_by_one(odd: dict[str, Any]) -> None:
    upstream, taken = shared("a", "b")
    usual = {"tick": {"symbol": "a"}, "subscription": {"id": "a"}}
    assert upstream.deliver_all([usual, odd]) == [usual, odd]
    assert taken == []
    assert upstream.deliver_all([usual, usual]) == []
    assert taken == [usual, usual]
    assert upstream.deliver_all([usual] * 3) == [usual]  # the consumer has enough
    assert upstream.over
    assert upstream.deliver_all([usual, usual]) == [usual, usual]
    assert len(taken) == 5


def test_g18_a_message_too_deep_to_be_written_or_read_again_ends_nothing() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    upstream = Upstream("ticks", {"ticks": "a"}, lambda _: None, lambda _: None)
    message = {"tick": {"symbol": "a"}, "subscription": {"id": "a"}, "passthrough": deep}
    assert upstream.deliver(message) is upstream
    assert upstream.latest_message() in (message, None)  # None since Python 3.14
    assert not upstream.over


class Follower(Streaming):
    def __init__(self, *ids: str) -> None:
        super().__init__()
        self.ids = ids


def followed(router: Router, *ids: str) -> Follower:
    """Return a stream with these ids, which follows after its first message."""
    stream = Follower(*ids)
    router.route({"req_id": router.register(Taker(stream))})
    return stream


def test_a_message_that_names_no_request_belongs_to_the_stream_whose_id_it_has() -> None:
    router = Router()
    first, second = followed(router, "a"), followed(router, "b", "c")
    for stream_id in ("c", "a", "nobody's"):
        router.route({"subscription": {"id": stream_id}})
    router.route({})
    assert [m["subscription"]["id"] for m in first.taken] == ["a"]
    assert [m["subscription"]["id"] for m in second.taken] == ["c"]
    assert router.unwanted == []


def test_g18_a_message_that_names_two_requests_is_nobodys() -> None:
    router, first, second = Router(), Taker(), Taker()
    one, other = router.register(first), router.register(second)
    router.route({"req_id": one, "echo_req": {"req_id": other}})
    assert (first.taken, second.taken) == ([], [])
    router.route({"req_id": one, "echo_req": {"req_id": "nonsense"}})
    router.route({"req_id": other, "echo_req": {"req_id": other}})
    assert (len(first.taken), len(second.taken)) == (1, 1)


def test_g18_strangers_are_counted_and_explained_by_requests_that_were_given_up() -> None:
    router = Router()
    asked = router.register(Taker())
    router.route(streaming(asked, "ours"))  # it brought a stream with the first message
    assert (router.unwanted, router.strangers, router.given_up) == (["ours"], 0, 0)
    router.route(streaming(asked, "ours"))
    router.route(streaming(asked, "another"))
    router.route({**streaming(asked, "an error"), "error": {}})
    assert (router.unwanted, router.strangers) == (["ours", "another"], 1)
    router.note_stranger("another")
    router.note_stranger("a third")
    assert router.strangers == 2
    router.clear()
    assert (router.unwanted, router.strangers, router.given_up) == ([], 0, 0)
    router.note_unwanted("ours")
    assert router.unwanted == ["ours"]  # on another connection it is another stream


def test_g18_only_what_was_waited_for_counts_as_given_up_and_within_bounds() -> None:
    router = Router()
    stream = followed(router, "a")
    req_id = router.register(Taker())
    router.remove(req_id)
    router.remove(req_id)
    router.remove(99)
    assert router.given_up == 1
    router.remove_receiver(stream)
    assert router.given_up == 2
    for _ in range(10_001):
        router.remove(router.register(Taker()))
    assert router.given_up == 10_000


def test_g14_each_request_that_was_given_up_has_one_more_id_remembered() -> None:
    router = Router()
    for _ in range(10):
        router.remove(router.register(Taker()))
    for number in range(1024 + 10 + 1):
        router.note_unwanted(str(number))
    router.unwanted.clear()
    router.note_unwanted("1")
    assert router.unwanted == []
    router.note_unwanted("0")  # the oldest is forgotten
    assert router.unwanted == ["0"]


@pytest.mark.parametrize(
    ("subscription", "stream_id"),
    [
        ({"id": "a"}, "a"),
        ({"id": "x" * 256}, "x" * 256),
        ({"id": "x" * 257}, None),
        ({"id": 5}, None),
        ({}, None),
        ("a", None),
        (None, None),
    ],
)
def test_g18_the_id_of_a_stream_is_a_text_of_a_bounded_length(
    subscription: Any, stream_id: str | None
) -> None:
    assert stream_id_of({"subscription": subscription}) == stream_id


def test_the_first_request_has_the_id_1_and_messages_beyond_the_last_are_the_users_own() -> None:
    router = Router()
    assert [router.register(Taker()) for _ in range(3)] == [1, 2, 3]
    router.route(streaming(3, "ours"))
    router.route(streaming(4, "theirs"))
    assert router.unwanted == ["ours"]


def test_who_waits_is_listed_in_the_order_of_writing_and_streams_after_that() -> None:
    router = Router()
    stream = followed(router, "a")
    first, second = Taker(), Taker()
    router.register(first)
    router.register(second)
    assert list(router.waiting()) == [first, second]
    assert router.clear() == [first, second, stream]
    assert list(router.waiting()) == []


def test_a_batch_of_one_is_routed_as_it_is() -> None:
    router = Router()
    stream = followed(router, "a")
    router.route_all([{"req_id": 1, "n": 1}])
    router.route_all([{"req_id": True, "n": 2}, {"req_id": 1, "n": 3}, {"req_id": 1, "n": 4}])
    router.route_all([])
    assert [m["n"] for m in stream.taken] == [1, 3, 4]
    assert stream.runs == [2]


def test_a_stream_of_typed_ticks_has_a_route_until_it_is_removed() -> None:
    router, route = Router(), object()
    stream: Any = Follower("a")
    stream.tick_route = route
    req_id = router.register(Taker(stream))
    assert router.fast_ticks.routes == {}
    router.route({"req_id": req_id})
    assert router.fast_ticks.routes == {req_id: route}
    router.remove_receiver(stream)
    assert router.fast_ticks.routes == {}


def test_a_stream_that_wants_nothing_more_is_expected_no_more() -> None:
    router = Router()
    stream = followed(router, "a")
    stream.following = None
    router.route(streaming(1, "a"))
    assert router.unwanted == ["a"]
    assert router.clear() == []
