"""What must never be shown, and how it is hidden.

Deriv's secrets are tokens, passwords and one-time codes, members of requests and of replies; one
is a query member of a URL. What Deriv's schemas call sensitive, such as a telephone number, is
hidden with them. Everything that leaves derivtrio for human eyes goes through here.

A member is known by its name, at any depth. So what the schemas call sensitive in one place but
market data has elsewhere (`name`, `value`, `description`) cannot be hidden by itself; where it
describes a means of payment, the object around it is hidden.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

HIDDEN: Final = "<not shown>"

#: Shorter texts, such as an `app_id` or a language, are not taken for secrets.
SHORTEST_SECRET: Final = 6

_TOKENS: Final = (
    "affiliate_token authorize Authorization chat_token client_password connect_copy copy_start"
    " copy_stop delete_token investPassword login_code mainPassword new_password"
    " new_verification_code oauth_token old_password otp password phonePassword refresh_token"
    " secret_answer token tokens totp url_parameters verification_code verification_otp"
)
_SENSITIVE: Final = (
    "ad_platform_cookies calling_country_code company_name contact_info create"
    " default_advert_description email first_name last_name p2p_advertiser_payment_methods"
    " payment_info payment_method_details phone phone_number phone_numbers update valid_for_ip"
    " verify_email"
)

#: Members of requests and replies whose values are not shown.
SECRET_FIELDS: Final = frozenset(f"{_TOKENS} {_SENSITIVE}".split())

#: Tokens in the request; in the reply so named, an object that is searched like any other.
_REPLIES: Final = frozenset({"authorize", "connect_copy"})

_REST_OF_TEXT: Final = r'(?:[^"\\]|\\.)*'


def masked(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of *message* in which secret fields read `<not shown>`, at any depth."""
    try:
        return _masked_members(message)
    except RecursionError:
        return dict.fromkeys(message, HIDDEN)


def masked_text(text: str) -> str:
    """Return JSON *text* in which the values of secret fields read `<not shown>`.

    The rest is as it was, to the letter. Where a secret field has a value that is not JSON, nothing
    of the text is shown from there on.
    """
    shown, done = [], 0
    for member in _secret_members().finditer(text):
        start = member.end()
        if start < done:
            continue
        hidden, end = _hidden_at(text, start, member)
        if end > start:
            shown += [text[done:start], hidden]
            done = end
    return "".join([*shown, text[done:]]) if shown else text


def shown_url(url: str) -> str:
    """Return *url* without its query, where one-time passwords live, and without userinfo."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def secrets_in(request: Mapping[str, Any]) -> list[str]:
    """Return the texts in *request* that are secret, the longest first.

    A server may repeat them in what it says about the request. Short ones are left out: they are
    in too many words.
    """
    found: set[str] = set()
    seen: dict[tuple[int, bool], Any] = {}  # a request may contain itself, though none is JSON then
    waiting: list[tuple[Any, bool]] = [(request, False)]
    while waiting:
        value, secret = waiting.pop()
        if (id(value), secret) in seen:
            continue
        seen[id(value), secret] = value
        if isinstance(value, Mapping):
            waiting += [(each, secret or name in SECRET_FIELDS) for name, each in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(each, secret) for each in value]
        elif secret and isinstance(value, str) and len(value) >= SHORTEST_SECRET:
            found.add(value)
    return sorted(found, key=len, reverse=True)


def without(text: str, secrets: Iterable[str]) -> str:
    """Return *text*, which a server has sent, without those of *secrets* that it repeats."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def hidden_in(value: Any, secrets: Sequence[str]) -> Any:
    """Return *value*, which a server has sent, with what it repeats of *secrets* hidden.

    That may be at any depth, and in the names of members.
    """
    try:
        return _hidden_in(value, secrets) if secrets else value
    except RecursionError:
        return HIDDEN


def _hidden_in(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        return without(value, secrets)
    if isinstance(value, Mapping):
        return {without(name, secrets): _hidden_in(each, secrets) for name, each in value.items()}
    if isinstance(value, list):
        return [_hidden_in(each, secrets) for each in value]
    return value


def _masked_members(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: HIDDEN if name in SECRET_FIELDS and not _is_flag(value) else _masked_value(value)
        for name, value in message.items()
    }


def _masked_value(value: Any) -> Any:
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, Mapping):
        return _masked_members(value)
    if isinstance(value, (list, tuple)):
        return [_masked_value(item) for item in value]
    return value


@functools.cache
def _secret_members() -> re.Pattern[str]:
    """Return what finds the names of secrets in JSON text, and in JSON text that is a value in it.

    There the quotes are escaped.
    """
    return re.compile(rf'"({"|".join(sorted(SECRET_FIELDS))})(\\*)"\s*:\s*')


def _hidden_at(text: str, start: int, member: re.Match[str]) -> tuple[str, int]:
    """Return what replaces the secret at *start*, and where it ends; *start* if it is no secret."""
    if member[2]:  # to the end of the text that it is in
        rest = re.compile(_REST_OF_TEXT, re.DOTALL).match(text, start)
        return HIDDEN, rest.end() if rest else len(text)
    if member[1] in _REPLIES and text.startswith("{", start):
        return "", start
    from json import JSONDecoder  # noqa: PLC0415 - takes a while, and few need it

    try:
        value, end = JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return f'"{HIDDEN}', len(text)
    return f'"{HIDDEN}"', start if _is_flag(value) else end


def _is_flag(value: object) -> bool:
    return value is None or (isinstance(value, int) and value in (0, 1))
