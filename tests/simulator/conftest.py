"""What the tests of the simulator share."""

from decimal import Decimal

import pytest
from asking import ask
from hypothesis import settings

from derivtrio.simulator import SCOPES, Account, Market, demo_account
from derivtrio.simulator.sessions.session import Backend, ServerSession

# A slow machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def session() -> ServerSession:
    """Return a session that is logged in to the demo account."""
    other = Account("CR90000001", Decimal("5.00"), {"other": SCOPES}, is_virtual=False)
    accounts = {each.loginid: each for each in (demo_account(), other)}
    session = ServerSession(Backend(1, Market(1), accounts), number=1)
    ask(session, {"authorize": "demo-token"})
    return session
