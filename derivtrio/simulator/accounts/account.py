"""The accounts of the simulator's one client, and the tokens that open them.

Money is exact: a `Decimal` from here to the wire, where it is written digit for digit.
"""

from decimal import Decimal

import attrs

#: The scopes that a token can have (Deriv's `authorize` schema).
SCOPES = frozenset({"read", "trade", "trading_information", "payments", "admin"})

DEMO_TOKEN = "demo-token"  # noqa: S105  (it opens a toy)


@attrs.define(eq=False)
class Account:
    """An account with its *balance* and, per token that opens it, the scopes that token gives.

    The tokens are left out of the `repr`, so that they reach no log.
    """

    loginid: str
    balance: Decimal
    tokens: dict[str, frozenset[str]] = attrs.field(repr=False)
    currency: str = "USD"
    is_virtual: bool = True
    is_disabled: bool = False

    def summary(self) -> dict[str, object]:
        """Return the account as an item of `authorize.account_list`."""
        return {
            "account_category": "trading",
            "account_type": "binary",
            "broker": self.loginid.rstrip("0123456789"),
            "created_at": 1_700_000_000,
            "currency": self.currency,
            "currency_type": "fiat",
            "is_disabled": int(self.is_disabled),
            "is_virtual": int(self.is_virtual),
            "landing_company_name": self.landing_company,
            "linked_to": [],
            "loginid": self.loginid,
        }

    @property
    def landing_company(self) -> str:
        """Deriv's short name of the company that keeps the account."""
        return "virtual" if self.is_virtual else "svg"


def demo_account() -> Account:
    """Return the account that a simulator has unless told otherwise: 10,000 virtual USD."""
    return Account("VRTC1000001", Decimal("10000.00"), {DEMO_TOKEN: SCOPES})
