"""The calls about who is asking: `authorize`, `logout`, `balance`."""

from collections.abc import Iterable
from decimal import Decimal

from derivtrio.simulator.accounts.account import Account
from derivtrio.simulator.protocol.envelope import Message, Refusal, reply
from derivtrio.simulator.sessions.session import ACCOUNT_STREAMS, Backend, Login, ServerSession

_USER_ID = 1000001


def authorize(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `authorize`: from here on the connection acts for the accounts of its tokens.

    The first token's account is the one meant when a request names no `loginid`. A connection
    that authorizes again changes over; the streams of its former accounts end.
    """
    tokens = [request["authorize"], *request.get("tokens", [])]
    logins = [_login(session.backend, token) for token in tokens]
    session.streams.remove_kinds(ACCOUNT_STREAMS)
    session.logins = {login.account.loginid: login for login in logins}
    answer = _authorized(session.backend, logins[0])
    return [reply(request, "authorize") | {"authorize": answer}]


def logout(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `logout`: the connection stays, its streams of account data do not."""
    session.streams.remove_kinds(ACCOUNT_STREAMS)
    session.logins = {}
    return [reply(request, "logout") | {"logout": 1}]


def balance(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `balance` for one account or all, and keep the stream if asked to."""
    account = session.login(request.get("loginid")).account
    which = request.get("account", "current")
    if which not in ("current", "all", account.loginid):
        text = "Permission denied, this is another account."
        raise Refusal(code="PermissionDenied", message=text)
    payload = _all_balances(session.backend, account) if which == "all" else _balance(account)
    if not request.get("subscribe"):
        return [reply(request, "balance") | {"balance": payload}]
    stream = session.streams.add(("balance", "balance", account.loginid), request)
    return [stream.message("balance", payload)]


def balance_messages(session: ServerSession, account: Account) -> list[Message]:
    """Return what the streams of this connection say when the balance of *account* changes."""
    key = ("balance", "balance", account.loginid)
    streams = session.streams.by_id.values()
    return [stream.message("balance", _balance(account)) for stream in streams if stream.key == key]


def _balance(account: Account) -> Message:
    return {
        "balance": account.balance,
        "currency": account.currency,
        "loginid": account.loginid,
    }


def _login(backend: Backend, token: str) -> Login:
    for account in backend.accounts.values():
        if token in account.tokens:
            if account.is_disabled:
                raise Refusal(code="DisabledClient", message="This account is unavailable.")
            return Login(account, account.tokens[token])
    raise Refusal(code="InvalidToken", message="The token is invalid.")


def _authorized(backend: Backend, login: Login) -> Message:
    account = login.account
    return {
        "account_list": [each.summary() for each in backend.accounts.values()],
        "balance": account.balance,
        "country": "id",
        "currency": account.currency,
        "email": "client@example.com",
        "fullname": "",
        "is_virtual": int(account.is_virtual),
        "landing_company_fullname": "Deriv Limited",
        "landing_company_name": account.landing_company,
        "linked_to": [],
        "local_currencies": {"IDR": {"fractional_digits": 2}},
        "loginid": account.loginid,
        "preferred_language": "EN",
        "scopes": sorted(login.scopes),
        "upgradeable_landing_companies": [],
        "user_id": _USER_ID,
    }


def _all_balances(backend: Backend, current: Account) -> Message:
    """Return what `account: "all"` asks for. Without exchange rates here, amounts are 1:1."""
    accounts = backend.accounts.values()
    return _balance(current) | {
        "accounts": {
            account.loginid: {
                "balance": account.balance,
                "converted_amount": account.balance,
                "currency": account.currency,
                "demo_account": int(account.is_virtual),
                "status": int(not account.is_disabled),
                "type": "deriv",
            }
            for account in accounts
        },
        "total": {
            "deriv": _total(account for account in accounts if not account.is_virtual),
            "deriv_demo": _total(account for account in accounts if account.is_virtual),
        },
    }


def _total(accounts: Iterable[Account]) -> Message:
    amount = sum((account.balance for account in accounts), Decimal())
    return {"amount": amount, "currency": "USD"}
