"""The example with three workers, of which one is killed: every tick is worked on."""

import time
from contextlib import ExitStack

import pytest
from recording_servers import redis as run_redis
from recording_servers import redis_reply
from served import started
from test_examples import path_of

pytest.importorskip("coredis")


@pytest.mark.long
def test_redis_workers_share_the_ticks_and_one_may_be_killed() -> None:
    with run_redis() as redis, ExitStack() as stack:
        url = f"{redis.url}/ticks"
        workers = [
            stack.enter_context(started(path_of("redis_workers.py"), str(n), REDIS_URL=url))
            for n in range(3)
        ]
        until_waiting(redis, len(workers))
        count = 300
        for epoch in range(count):
            members = ("symbol", "R_100", "epoch", str(epoch), "quote", "1.5")
            redis_reply(redis, "XADD", "ticks", f"{epoch + 1}000-0", *members)
        redis_reply(redis, "XADD", "ticks", "9999999-0", "gap", "gone", "after", "1", "before", "2")
        until_worked_on(redis, 60)
        workers[1].kill()
        until_worked_on(redis, count + 1)
        lines = []
        for worker in workers:
            worker.terminate()
            lines.append(worker.communicate()[0].splitlines())
    done = [line.split() for each in lines for line in each]
    assert {int(words[1]) for words in done if words[0] == "R_100"} == set(range(count))
    assert [words for words in done if words[0] == "gap"] == [["gap", "1", "2"]]
    assert len(done) <= count + 1 + 10  # twice at most what the dead one had in hand
    assert all(lines)


def until_waiting(redis: object, workers: int) -> None:
    """Wait until so many workers wait for an entry: otherwise a slow one may get none."""
    end = time.monotonic() + 60
    while f"blocked_clients:{workers}" not in redis_reply(redis, "INFO", "clients"):
        assert time.monotonic() < end
        time.sleep(0.05)


def until_worked_on(redis: object, least: int) -> None:
    end = time.monotonic() + 60
    while True:
        (group,) = redis_reply(redis, "XINFO", "GROUPS", "ticks") or [None]
        facts = dict(zip(group[::2], group[1::2], strict=True)) if group else {}
        if facts and (facts["entries-read"] or 0) - facts["pending"] >= least:
            return
        assert time.monotonic() < end, facts
        time.sleep(0.05)
