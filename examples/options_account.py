"""An account of the Options API: a new one-time URL for every connection, and the balance.

`DERIV_TOKEN` is a token with the scope `trade`, `DERIV_ACCOUNT` the id of the account, such as
`DOT90004580`, and `DERIV_APP_ID` the id of your application. It needs the extra `options`: from a
clone, `pip install '.[options]'`. `DERIV_REST_URL` says where to ask for URLs, for instance a
simulator.
"""

import os

import derivtrio
from derivtrio.connection.account import REST_URL


async def token() -> str:
    """Return the token; a program with OAuth would renew it here, as it is asked each time."""
    return os.environ["DERIV_TOKEN"]


async def main() -> None:
    """Print the balance, now and whenever it changes."""
    account = derivtrio.OptionsAccount(
        os.environ["DERIV_ACCOUNT"],
        os.environ.get("DERIV_APP_ID", "1089"),
        token,
        base=os.environ.get("DERIV_REST_URL", REST_URL),
    )
    async with (
        derivtrio.open_client(endpoint=account) as client,
        client.balance() as balances,
    ):
        async for balance in balances:
            print(balance.loginid, balance.balance, balance.currency, flush=True)


derivtrio.run(main)
