"""The accounts of the simulator's one user, and their tokens.

Money is exact: a `Decimal` everywhere, and in JSON a number with the same digits.
"""

from decimal import Decimal

import attrs

#: The scopes that a token can have (Deriv's `authorize` schema).
SCOPES = frozenset({"read", "trade", "trading_information", "payments", "admin"})

#: The token of the demo account.
DEMO_TOKEN = "demo-token"  # noqa: S105  (of a simulated account)


@attrs.define(eq=False)
class Account:
    """An account with its *balance*; *tokens* maps each token to its scopes.

    The `repr` leaves the tokens out, so that no log contains them.
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
        """Deriv's short name of the company that holds the account."""
        return "virtual" if self.is_virtual else "svg"


def demo_account() -> Account:
    """Return the default account of a simulator: 10,000 virtual USD."""
    return Account("VRTC1000001", Decimal("10000.00"), {DEMO_TOKEN: SCOPES})
