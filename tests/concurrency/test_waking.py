"""`WOKEN`: nothing, any number of times."""

from collections.abc import AsyncGenerator, Generator

import pytest

from derivtrio.concurrency.waking import WOKEN


async def test_a_waking_says_nothing_however_it_is_unpacked() -> None:
    def waiting() -> Generator[None, None, None]:
        assert (yield) is None

    async def also_waiting() -> AsyncGenerator[None, None]:
        assert (yield) is None

    for _ in range(2):
        WOKEN.unwrap()
        generator, agenerator = waiting(), also_waiting()
        next(generator)
        await anext(agenerator)
        with pytest.raises(StopIteration):
            WOKEN.send(generator)
        with pytest.raises(StopAsyncIteration):
            await WOKEN.asend(agenerator)
