"""The call `balance`, and the messages of its stream."""

from collections.abc import Iterable
from decimal import Decimal

from derivtrio.simulator.accounts.account import Account
from derivtrio.simulator.protocol.envelope import Message, Refusal, reply
from derivtrio.simulator.sessions.session import Backend, ServerSession


def balance(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `balance` for one account or all, and open a stream if the request subscribes."""
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
    """Return the messages of this connection's streams about a new balance of *account*."""
    key = ("balance", "balance", account.loginid)
    streams = session.streams.by_id.values()
    return [stream.message("balance", _balance(account)) for stream in streams if stream.key == key]


def _balance(account: Account) -> Message:
    return {
        "balance": account.balance,
        "currency": account.currency,
        "loginid": account.loginid,
    }


def _all_balances(backend: Backend, current: Account) -> Message:
    """Return the balances of all accounts, for `account: "all"`; exchange rates are 1:1."""
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
