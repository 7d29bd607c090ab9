"""Which WebSocket connections are admitted, and for which account.

1. v3: `/websockets/v3?app_id=N`; `l` (language) and `brand` may follow. Deriv answers 401 to an
   unknown app id, as third parties report. Here an app id is unknown if it is missing or not a
   number. The body is Deriv's `InvalidAppID` error, in JSON.
2. Options API, public: `/trading/v1/options/ws/public`.
3. Options API, of an account: `…/ws/demo?otp=…` or `…/ws/real?otp=…`, with a one-time password from
   the `rest_api`. Errors are JSON in the documented form.
"""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

import attrs

from derivtrio.api.codec import encode
from derivtrio.errors import RestRejected
from derivtrio.simulator.accounts.account import SCOPES
from derivtrio.simulator.dialects.dialect import OPTIONS, V3, Dialect
from derivtrio.simulator.network.handshake import HttpResponse
from derivtrio.simulator.server.rest_api import (
    JSON,
    OPTIONS_PATH,
    account_type,
    error_response,
)
from derivtrio.simulator.sessions.session import Backend, Login

V3_PATH: Final = "/websockets/v3"
V3_QUERY: Final = "app_id=1089"
PUBLIC_PATH: Final = f"{OPTIONS_PATH}/ws/public"

_PRIVATE: Final = re.compile(rf"{OPTIONS_PATH}/ws/(demo|real)")


@attrs.frozen
class Admission:
    """A connection that is admitted: its dialect, and its login if it needs no `authorize`."""

    dialect: Dialect
    login: Login | None = None


def admit(target: str, backend: Backend, now: float) -> Admission | HttpResponse:
    """Admit a WebSocket to *target*, a path and query, at the epoch *now*; or return the error."""
    parts = urlsplit(target)
    if parts.path == V3_PATH:
        return _v3_admission(parts.query)
    if parts.path == PUBLIC_PATH:
        return Admission(OPTIONS)
    if private := _PRIVATE.fullmatch(parts.path):
        otp = parse_qs(parts.query).get("otp", [""])[0]
        return _private_admission(parts.path, private[1], otp, backend, now)
    return HttpResponse(404, b"Not Found")


def _v3_admission(query: str) -> Admission | HttpResponse:
    app_id = parse_qs(query).get("app_id", [""])[0]
    if app_id.isascii() and app_id.isdecimal():
        return Admission(V3)
    error = {"code": "InvalidAppID", "message": "Your app_id is invalid."}
    return HttpResponse(401, encode({"error": error}).encode(), JSON)


def _private_admission(
    path: str, kind: str, otp: str, backend: Backend, now: float
) -> Admission | HttpResponse:
    if not otp:
        refused = RestRejected(400, "ValidationError", "OTP parameter is required")
        return error_response(refused, path, "GET", field="otp")
    loginid = backend.one_time_passwords.redeem(otp, now)
    account = backend.accounts.get(loginid or "")
    if account is None or account_type(account) != kind:
        refused = RestRejected(401, "Unauthorized", "Invalid or expired OTP token")
        return error_response(refused, path, "GET")
    return Admission(OPTIONS, Login(account, SCOPES))
