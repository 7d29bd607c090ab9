"""The calls `authorize` and `logout`."""

from derivtrio.simulator.protocol.envelope import Message, Refusal, reply
from derivtrio.simulator.sessions.session import ACCOUNT_STREAMS, Backend, Login, ServerSession

_USER_ID = 1000001


def authorize(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `authorize`: the connection now acts for the accounts of its tokens.

    A request without a `loginid` means the account of the first token. A second `authorize`
    replaces the accounts, and ends the streams of the former ones.
    """
    tokens = [request["authorize"], *request.get("tokens", [])]
    logins = [_login(session.backend, token) for token in tokens]
    session.streams.remove_kinds(ACCOUNT_STREAMS)
    session.logins = {login.account.loginid: login for login in logins}
    answer = _authorized(session.backend, logins[0])
    return [reply(request, "authorize") | {"authorize": answer}]


def logout(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `logout`: the streams of account data end; the connection stays open."""
    session.streams.remove_kinds(ACCOUNT_STREAMS)
    session.logins = {}
    return [reply(request, "logout") | {"logout": 1}]


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
