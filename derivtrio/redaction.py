"""What must never be shown, and how it is hidden.

Deriv's secrets are tokens and one-time passwords. They are members of a few requests, and one
is a query member of a URL. Everything that leaves derivtrio for human eyes goes through here.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "<not shown>"

#: Members of requests whose values are secrets.
SECRET_FIELDS = frozenset(
    "authorize connect_copy copy_start copy_stop new_password old_password otp password token "
    "tokens url_parameters verification_code verification_otp client_password "
    "investPassword mainPassword".split()
)
_IN_TEXT = re.compile(
    r'("(?:' + "|".join(sorted(SECRET_FIELDS)) + r')"\s*:\s*)("(?:[^"\\]|\\.)*"|\[[^\]]*\])'
)


def masked(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of *message* in which secret fields read `<not shown>`."""
    return {
        field: HIDDEN if field in SECRET_FIELDS and not _is_flag(value) else value
        for field, value in message.items()
    }


def masked_text(text: str) -> str:
    """Return JSON *text* in which the values of secret fields read `<not shown>`."""
    return _IN_TEXT.sub(rf'\1"{HIDDEN}"', text)


def shown_url(url: str) -> str:
    """Return *url* without its query, where one-time passwords live, and without userinfo."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _is_flag(value: object) -> bool:
    return isinstance(value, int) and value in (0, 1)
