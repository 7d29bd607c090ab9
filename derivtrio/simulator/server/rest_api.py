"""The REST API: it lists accounts, and issues the one-time passwords of the Options API.

`POST …/accounts/{id}/otp` needs a token with the scope `trade`. While one request for an account is
in progress, a second one is answered with 503, as third parties report. Errors are JSON in the
documented form.
"""

import re
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import trio

from derivtrio.api.codec import encode
from derivtrio.errors import RestRejected
from derivtrio.simulator.accounts.account import Account
from derivtrio.simulator.faults.faults import Faults
from derivtrio.simulator.network.handshake import HttpRequest, HttpResponse
from derivtrio.simulator.server.clock import Clock
from derivtrio.simulator.sessions.session import Backend

OPTIONS_PATH: Final = "/trading/v1/options"
JSON: Final = "application/json"

#: How long it takes to issue a password, in seconds.
_ISSUE_TIME: Final = 0.02

_ACCOUNTS: Final = f"{OPTIONS_PATH}/accounts"
_OTP: Final = re.compile(rf"{_ACCOUNTS}/([^/]+)/otp")
_HEALTH: Final = "/v1/health"


@attrs.define(eq=False)
class RestApi:
    """Answers REST requests; with *secure* its URLs are `wss`."""

    backend: Backend
    clock: Clock
    faults: Faults
    secure: bool
    _issuing: set[str] = attrs.field(factory=set, init=False)

    async def answer(self, request: HttpRequest) -> HttpResponse | None:
        """Answer *request*; return `None` if it is not for the REST API."""
        path = urlsplit(request.target).path
        if path == _HEALTH:
            return HttpResponse(200, b"OK")
        if not path.startswith(_ACCOUNTS):
            return None
        started = trio.current_time()
        try:
            data = await self._data(request, path)
        except RestRejected as refused:
            return error_response(refused, path, request.method)
        timing = round(1000 * (trio.current_time() - started))
        meta = {"endpoint": path, "method": request.method, "timing": timing}
        return HttpResponse(200, encode({"data": data, "meta": meta}).encode(), JSON)

    async def one_time_target(self, account_id: str) -> str:
        """Return the path and query of a new connection for *account_id*.

        Raises:
            RestRejected: there is no such account, a request for it is in progress, or a fault.

        """
        self._raise_fault()
        if account_id in self._issuing:
            text = "Too many requests for a one-time password."
            raise RestRejected(503, "CircuitBreakerBusy", text)
        self._issuing.add(account_id)
        try:
            await trio.sleep(_ISSUE_TIME)
        finally:
            self._issuing.discard(account_id)
        account = self._account(account_id)
        otp = self.backend.one_time_passwords.issue(account_id, self.clock.now())
        return f"{OPTIONS_PATH}/ws/{account_type(account)}?otp={otp}"

    async def _data(self, request: HttpRequest, path: str) -> Any:
        self._raise_fault()
        accounts = self._accounts_of(request)
        if path == _ACCOUNTS and request.method == "GET":
            return [_account_item(account) for account in accounts]
        wanted = _OTP.fullmatch(path)
        if wanted is None or request.method != "POST":
            raise RestRejected(404, "NotFound", "The requested resource was not found.")
        if self._account(wanted[1]) not in accounts:
            raise RestRejected(403, "AccessDenied", "You have no access to this account.")
        scheme = "wss" if self.secure else "ws"
        host = request.headers.get("host", "")
        return {"url": f"{scheme}://{host}{await self.one_time_target(wanted[1])}"}

    def _raise_fault(self) -> None:
        if (error := self.faults.next_rest_refusal()) is not None:
            raise error

    def _accounts_of(self, request: HttpRequest) -> list[Account]:
        """Return the accounts that the token of *request* may trade with."""
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


def error_response(
    refused: RestRejected, path: str, method: str, *, field: str | None = None
) -> HttpResponse:
    """Return the HTTP response to a request that is *refused*; *field* is the wrong parameter."""
    error: dict[str, Any] = {
        "status": refused.status,
        "code": refused.code,
        "message": refused.message,
    }
    if field is not None:
        error["field"] = field
    meta = {"endpoint": path, "method": method, "timing": 0}
    body = encode({"errors": [error], "meta": meta}).encode()
    headers = {}
    if refused.retry_after is not None:
        headers["Retry-After"] = f"{refused.retry_after:g}"
    return HttpResponse(refused.status, body, JSON, headers)


def account_type(account: Account) -> str:
    """Return the type of *account* in the paths of the Options API."""
    return "demo" if account.is_virtual else "real"


def _account_item(account: Account) -> dict[str, Any]:
    """Return *account* as an item of `GET accounts`."""
    return {
        "account_id": account.loginid,
        "balance": account.balance,
        "currency": account.currency,
        "group": "row",
        "status": "inactive" if account.is_disabled else "active",
        "account_type": account_type(account),
    }
