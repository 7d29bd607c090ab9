"""What can be a token."""

from typing import Any

import pytest

import derivtrio
from derivtrio.simulator import open_simulator
from derivtrio.supervision.tokens import checked_token


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (" ", "not one that is blank"),
        ([], "not an empty list"),
        (["abc", 5], "not a list with something else in it"),
        (b"abc", "not bytes"),
    ],
)
def test_a_token_that_is_none_is_refused(token: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"token is a non-empty str, .* {words}"):
        checked_token(token)


@pytest.mark.parametrize("token", ["s3cr3t\n", " s3cr3t", "s3c r3t", ["abc", "s3cr3t\r\n"]])
def test_g13_a_token_with_the_end_of_its_line_is_refused_and_not_shown(token: Any) -> None:
    with pytest.raises(ValueError, match="white space") as caught:
        checked_token(token)
    assert "s3c" not in str(caught.value)


async def test_g10_so_is_one_of_a_token_function(autojump_clock: Any) -> None:
    async def token() -> str:
        return "s3cr3t\n"

    async with open_simulator(port=None) as sim:
        with pytest.raises(derivtrio.EndpointFailed, match="white space") as caught:
            async with derivtrio.open_client(endpoint=sim.endpoint, token=token):
                pytest.fail("it must not open")
        assert not sim.history[0].requests
    assert "s3c" not in str(caught.value)
