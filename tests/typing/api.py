"""`client.api` as type checkers see it: mypy and pyright, both strict, must accept this file.

It is not run. Each `ignore` is an assertion, too: both report those that are not needed.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, assert_type

import derivtrio
from derivtrio.api import Api

if TYPE_CHECKING:  # the types of requests and replies are for type checkers; at run time: dicts
    from collections.abc import Sequence

    from derivtrio.api import BuyParameters, TicksHistoryReply


async def calls_of_each_shape(client: derivtrio.Client) -> None:
    api = client.api
    assert_type(api, Api)

    ping = await api.ping()  # its own member is 1
    assert_type(ping["ping"], Literal["pong"])
    assert_type(ping["echo_req"], dict[str, Any])
    assert_type((await api.time(passthrough={"n": 1}))["time"], int)

    # its own member says what is asked for: by position or by name
    history: TicksHistoryReply
    history = await api.ticks_history("R_100", end="latest", style="ticks", granularity=60)
    await api.ticks_history(ticks_history="R_100", end="latest", count=5)
    rows = history.get("history")
    assert rows is not None
    assert_type(rows.get("prices"), list[float] | None)
    for candle in history.get("candles", []):
        assert_type(candle.get("open"), float | None)

    # one of some values; a text or several; a list
    symbols = await api.active_symbols("brief", contract_type=["CALL", "PUT"])
    assert_type(symbols["active_symbols"][0]["market"], str)
    many: Sequence[str] = ("R_100", "R_50")
    await api.ticks(many)
    await api.forget_all(["ticks", "candles"])
    await api.forget_all("ticks")
    assert_type((await api.forget("id"))["forget"], Literal[0, 1])

    # numbers, and objects in the request
    parameters: BuyParameters
    parameters = {"contract_type": "CALL", "currency": "USD", "symbol": "R_100"}
    parameters["amount"] = Decimal(1)
    bought = await api.buy("1", price=10.5, parameters=parameters)
    assert_type(bought["buy"]["contract_id"], int)
    assert_type(bought["buy"]["buy_price"], float)
    await api.contract_update(contract_id=5, limit_order={"stop_loss": None})

    # one generation says `symbol`, the other `underlying_symbol`; what only one of them has
    await api.proposal(contract_type="CALL", currency="USD", symbol="R_100", amount=1)
    await api.proposal(contract_type="CALL", currency="USD", underlying_symbol="R_100")
    await api.buy(
        "1",
        price=10,
        parameters={"contract_type": "CALL", "currency": "USD", "underlying_symbol": "R_100"},
    )
    await api.authorize("token")
    await api.mt5_new_account(  # a value of a list, or None
        account_type="demo", email="a@b.cd", leverage=100, mainPassword="x", name="x", server=None
    )
    await api.contracts_list()

    # replies with members that are no Python names, and with any member
    statement = (await api.statement(limit=5))["statement"]
    for transaction in statement.get("transactions", []):
        transfer = transaction.get("from")
        assert transfer is None or isinstance(transfer.get("loginid"), str)
    rates = (await api.exchange_rates(base_currency="USD"))["exchange_rates"]
    assert rates

    # other members are texts
    await api.set_financial_assessment(anything_else="yes")


async def refused(client: derivtrio.Client) -> None:
    api = client.api
    await api.tick_history("R_100", end="latest")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    await api.ticks_history("R_100")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await api.ticks_history("R_100", "latest")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await api.ticks_history("R_100", end=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await api.ticks_history("R_100", end="latest", granularity=61)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await api.ticks_history("R_100", end="latest", granularty=60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await api.ticks("R_100", subscribe=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await api.forget_all("tick_history")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await api.buy("1", price="10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await api.buy("1", price=1, parameters={"contract_type": "CALL"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await api.proposal(contract_type="CALL", currency="USD")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await api.proposal(contract_type="CALL", currency="USD", symbol="R_100", underlying_symbol="R")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await api.proposal(currency="USD", symbol="R_100")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await api.buy("1", price=1, parameters={"contract_type": "CALL", "currency": "USD"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    (await api.time())["tme"]  # type: ignore[typeddict-item]  # pyright: ignore[reportGeneralTypeIssues]


def what_errors_say(error: derivtrio.ApiError, unknown: derivtrio.OutcomeUnknown) -> None:
    assert_type(error.details, Mapping[str, Any])
    assert_type(error.request, dict[str, Any])
    assert_type(unknown.request, dict[str, Any])
    assert_type(unknown.history, tuple[derivtrio.BrokenConnection, ...])


def how_it_ended(failed: derivtrio.ConnectionFailed, rejected: derivtrio.HandshakeRejected) -> None:
    assert_type(failed.attempts, list[derivtrio.Attempt])
    assert_type(rejected.headers, dict[str, str])


async def only_streams(client: derivtrio.Client) -> None:
    await client.api.transaction()  # never returns
    assert_type(client, str)
