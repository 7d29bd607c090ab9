"""What a token is, and which ones an endpoint takes: checked before anything is sent. No I/O."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from derivtrio.connection.endpoints import Endpoint, speaks_options

#: A token, several tokens, or an async function that returns a token.
TokenSource = str | Sequence[str] | Callable[[], Awaitable[str]]

#: The most tokens in one `authorize` request (Deriv's v3 schema: one, and 25 more).
_MOST: Final = 26


def checked_token(token: TokenSource | None) -> TokenSource | None:
    """Return *token* if it is one.

    Raises:
        ValueError: it is not; the message does not show it.

    """
    if token is None or callable(token):
        return token
    if isinstance(token, Sequence) and not isinstance(token, (bytes, bytearray)):
        tokens = listed(token)
        if tokens and all(isinstance(each, str) and each.strip() for each in tokens):
            if any(map(has_space, tokens)):
                text = "a token has no white space in it, such as the end of a line: use strip()"
                raise ValueError(text)
            if len(tokens) <= _MOST:
                return token if isinstance(token, str) else tuple(tokens)
            text = f"{len(tokens)} tokens are too many: Deriv takes {_MOST} at most"
            raise ValueError(text)
    found = "one that is blank" if isinstance(token, str) else type(token).__name__
    if isinstance(token, list | tuple):
        found = "a list with something else in it" if token else "an empty list"
    text = f"token is a non-empty str, several of them, an async function, or None, not {found}"
    raise ValueError(text)


def checked_for(endpoint: Endpoint, token: TokenSource | None) -> TokenSource | None:
    """Return *token* if it is one, and if *endpoint* takes one.

    Raises:
        ValueError: it is not, or *endpoint* takes none; the message does not show it.

    """
    if token is not None and speaks_options(endpoint):
        text = (
            "the Options API takes no token on its WebSocket: for an account give"
            " endpoint=derivtrio.OptionsAccount(account_id, app_id, token)"
        )
        raise ValueError(text)
    return checked_token(token)


def has_space(token: str) -> bool:
    """Return whether *token* has white space in it, such as the end of a line."""
    return token.split() != [token]


def listed(token: TokenSource) -> list[str]:
    """Return the tokens in *token*, which is not a function."""
    return [token] if isinstance(token, str) else list(token or ())  # type: ignore[arg-type]
