"""What can be a token."""

from typing import Any

import pytest

from derivtrio.supervision.authorization import checked_token


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
