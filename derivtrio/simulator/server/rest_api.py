"""Who gets in where, and the REST API that hands out the passwords.

v3 wants `GET /websockets/v3?app_id=N`; `l` (language) and `brand` may follow. Deriv answers 401 to
an app id that it does not know (reported by third parties). Here that is any app id that is missing
or no number, and the body is Deriv's `InvalidAppID` error as JSON.

The Options API has a public socket, and `…/ws/demo` and `…/ws/real` for those with a one-time
password, which `POST …/accounts/{id}/otp` gives to a token with the scope `trade`. Errors are JSON
of the documented shape. A second request for an account's password while the first is being worked
on is answered with 503, as third parties report.
"""

import re
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import attrs
import trio

from derivtrio.codec import encode
from derivtrio.errors import RestRejected
from derivtrio.simulator.accounts.account import SCOPES, Account
from derivtrio.simulator.dialects.dialect import OPTIONS, V3, Dialect
from derivtrio.simulator.faults.faults import Faults
from derivtrio.simulator.network.handshake import PATH, HttpRequest, HttpResponse
from derivtrio.simulator.server.clock import Clock
from derivtrio.simulator.sessions.session import Backend, Login

OPTIONS_PATH: Final = "/trading/v1/options"
PUBLIC_PATH: Final = f"{OPTIONS_PATH}/ws/public"
HEALTH_PATH: Final = "/v1/health"

#: How long a password takes to make, in seconds.
_WORK: Final = 0.02

_ACCOUNTS: Final = f"{OPTIONS_PATH}/accounts"
_OTP: Final = re.compile(rf"{_ACCOUNTS}/([^/]+)/otp")
_PRIVATE: Final = re.compile(rf"{OPTIONS_PATH}/ws/(demo|real)")
_JSON: Final = "application/json"


@attrs.frozen
class Admission:
    """A connection that may be: what is spoken on it, and for which account, if for one."""

    dialect: Dialect
    login: Login | None = None


@attrs.define(eq=False)
class RestApi:
    """Admits connections, and answers REST requests."""

    backend: Backend
    clock: Clock
    faults: Faults
    secure: bool
    _busy: set[str] = attrs.field(factory=set, init=False)

    def admit(self, target: str) -> Admission | HttpResponse:
        """Decide about a WebSocket connection to *target*, a path and query."""
        parts = urlsplit(target)
        if parts.path == PATH:
            return _v3_admission(parts.query)
        if parts.path == PUBLIC_PATH:
            return Admission(OPTIONS)
        if private := _PRIVATE.fullmatch(parts.path):
            return self._private_admission(parts.path, private[1], parts.query)
        return HttpResponse(404, b"Not Found")

    async def answer(self, request: HttpRequest) -> HttpResponse | None:
        """Answer *request* if it is for the REST API."""
        path = urlsplit(request.target).path
        if path == HEALTH_PATH:
            return HttpResponse(200, b"OK")
        if not path.startswith(_ACCOUNTS):
            return None
        started = trio.current_time()
        try:
            data = await self._data(request, path)
        except RestRejected as refused:
            return error_answer(refused, path, request.method)
        timing = round(1000 * (trio.current_time() - started))
        meta = {"endpoint": path, "method": request.method, "timing": timing}
        return HttpResponse(200, encode({"data": data, "meta": meta}).encode(), _JSON)

    async def one_time_target(self, account_id: str) -> str:
        """Return the path and query of a new connection for *account_id*.

        Raises:
            RestRejected: a fault says so, there is no such account, or one is being made for it.

        """
        self._play_fault()
        if account_id in self._busy:
            text = "Too many requests for a one-time password."
            raise RestRejected(503, "CircuitBreakerBusy", text)
        self._busy.add(account_id)
        try:
            await trio.sleep(_WORK)
        finally:
            self._busy.discard(account_id)
        account = self._account(account_id)
        otp = self.backend.one_time_passwords.issue(account_id, self.clock.now())
        return f"{OPTIONS_PATH}/ws/{_account_type(account)}?otp={otp}"

    async def _data(self, request: HttpRequest, path: str) -> Any:
        self._play_fault()
        accounts = self._accounts_of(request)
        if path == _ACCOUNTS and request.method == "GET":
            return [_listed(account) for account in accounts]
        wanted = _OTP.fullmatch(path)
        if wanted is None or request.method != "POST":
            raise RestRejected(404, "NotFound", "The requested resource was not found.")
        if self._account(wanted[1]) not in accounts:
            raise RestRejected(403, "AccessDenied", "You have no access to this account.")
        scheme = "wss" if self.secure else "ws"
        host = request.headers.get("host", "")
        return {"url": f"{scheme}://{host}{await self.one_time_target(wanted[1])}"}

    def _play_fault(self) -> None:
        if (refusal := self.faults.next_rest_refusal()) is not None:
            raise refusal

    def _accounts_of(self, request: HttpRequest) -> list[Account]:
        """Return the accounts that the token of *request* may trade for."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        opened = [each for each in self.backend.accounts.values() if token in each.tokens]
        if scheme != "Bearer" or not opened:
            raise RestRejected(401, "Unauthorized", "The token is invalid or has expired.")
        if not request.headers.get("deriv-app-id"):
            raise RestRejected(400, "ValidationError", "Deriv-App-ID header is required")
        tradable = [each for each in opened if "trade" in each.tokens[token]]
        if not tradable:
            raise RestRejected(403, "AccessDenied", "The token lacks the scope trade.")
        return tradable

    def _account(self, account_id: str) -> Account:
        account = self.backend.accounts.get(account_id)
        if account is None:
            raise RestRejected(404, "AccountNotFound", "There is no such account.")
        if account.is_disabled:
            raise RestRejected(403, "UnauthorizedAccess", "This account is unavailable.")
        return account

    def _private_admission(self, path: str, kind: str, query: str) -> Admission | HttpResponse:
        otp = parse_qs(query).get("otp", [""])[0]
        if not otp:
            refused = RestRejected(400, "ValidationError", "OTP parameter is required")
            return error_answer(refused, path, "GET", field="otp")
        loginid = self.backend.one_time_passwords.redeem(otp, self.clock.now())
        account = self.backend.accounts.get(loginid or "")
        if account is None or _account_type(account) != kind:
            refused = RestRejected(401, "Unauthorized", "Invalid or expired OTP token")
            return error_answer(refused, path, "GET")
        return Admission(OPTIONS, Login(account, SCOPES))


def error_answer(
    refused: RestRejected, path: str, method: str, *, field: str | None = None
) -> HttpResponse:
    """Return the HTTP answer to a request that is *refused*."""
    error: dict[str, Any] = {
        "status": refused.status,
        "code": refused.code,
        "message": refused.message,
    }
    if field is not None:
        error["field"] = field
    meta = {"endpoint": path, "method": method, "timing": 0}
    body = encode({"errors": [error], "meta": meta}).encode()
    waits = refused.retry_after is not None
    headers = {"Retry-After": f"{refused.retry_after:g}"} if waits else {}
    return HttpResponse(refused.status, body, _JSON, headers)


def _v3_admission(query: str) -> Admission | HttpResponse:
    app_id = parse_qs(query).get("app_id", [""])[0]
    if app_id.isascii() and app_id.isdecimal():
        return Admission(V3)
    error = {"code": "InvalidAppID", "message": "Your app_id is invalid."}
    return HttpResponse(401, encode({"error": error}).encode(), _JSON)


def _account_type(account: Account) -> str:
    return "demo" if account.is_virtual else "real"


def _listed(account: Account) -> dict[str, Any]:
    """Return *account* as an item of `GET accounts`."""
    return {
        "account_id": account.loginid,
        "balance": account.balance,
        "currency": account.currency,
        "group": "row",
        "status": "inactive" if account.is_disabled else "active",
        "account_type": _account_type(account),
    }
