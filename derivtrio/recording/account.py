"""The account's side of a recording: transactions, balances, contracts.

Transactions come from `client.transactions`, which begins with the present. So what happened while
nobody recorded is taken from the account's statement first: everything since the newest transaction
that is kept, and a little before it; or since the start, if none is kept yet. So it is, too, when
the stream has failed and is asked for again.

Every transaction of a contract has that contract looked at: its row is renewed at each change of
its status, until it is sold. At the start the contracts of the statement's newest rows and those of
the portfolio are looked at again: the last recorder may have ended between a sale and its row.
"""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

import attrs
import trio

from derivtrio.client import Client
from derivtrio.errors import ApiError, ClientClosed, ConnectionFailed, DerivError
from derivtrio.logs import TolerantLogger
from derivtrio.models import Transaction
from derivtrio.policy.retry import is_passing
from derivtrio.recording.store import Store
from derivtrio.recording.tables import (
    BALANCES,
    CONTRACTS,
    TRANSACTIONS,
    balance_row,
    contract_row,
    transaction_row,
)
from derivtrio.recording.waits import Waits
from derivtrio.recording.writer import BatchWriter, patiently

_log: Final = TolerantLogger(logging.getLogger("derivtrio.recording"))

#: How many of the statement's newest rows are looked at again at the start.
_AGAIN: Final = 50

#: How many transactions may come while the statement is read.
_BUFFER: Final = 10_000

#: How long to wait before a stream that has ended is asked for again, in seconds.
_PAUSE: Final = 60.0


@attrs.define(eq=False)
class AccountFollower:
    """Follows the client's account for as long as the client lives."""

    _client: Client
    _writer: BatchWriter
    _start: int | None
    _waits: Waits = attrs.field(factory=Waits)
    _loginid: str = attrs.field(default="", init=False)
    _followed: set[int] = attrs.field(factory=set, init=False)

    async def run(self, store: Store) -> None:
        """Follow the account; return when the client has ended.

        Raises:
            ApiError: the server refuses the first request: there is no account.
            StoreError: *store* cannot be read.

        """
        await self._repeated("account", self._begin, lasting=_is_lasting)
        if not self._loginid:
            return
        await self._newest(store)  # here a store that cannot be read ends all
        async with trio.open_nursery() as nursery:

            def look_at(contract_id: int) -> None:
                if contract_id not in self._followed:
                    self._followed.add(contract_id)
                    nursery.start_soon(self._follow_contract, contract_id)

            nursery.start_soon(self._repeated, "balance", self._follow_balance)
            follow = partial(self._follow_transactions, store, look_at)
            nursery.start_soon(self._repeated, "transactions", follow)

    async def _begin(self) -> None:
        """Find out which account it is, and when this began."""
        async with self._client.balance() as balances:
            if self._start is None:
                self._start = int((await self._client.call({"time": 1}))["time"])
            self._loginid = (await anext(balances)).loginid
            self._waits.end("account")

    async def _newest(self, store: Store) -> int | None:
        return await patiently(lambda: store.newest(TRANSACTIONS, self._loginid), lambda: 0)

    async def _follow_balance(self) -> None:
        async with self._client.balance() as balances:
            self._waits.end("balance")
            async for balance in balances:
                self._writer.add(BALANCES, balance_row(balance, int(time.time())))
                await self._writer.room()

    async def _follow_transactions(self, store: Store, look_at: Callable[[int], None]) -> None:
        """Keep the transactions that were missed, and then those that come."""
        newest = await self._newest(store)
        async with self._client.transactions(buffer=_BUFFER) as transactions:
            for position in await self._client.portfolio():
                look_at(position.contract_id)
            for transaction in reversed([each async for each in self._missed(newest)]):
                await self._keep(transaction, look_at)
            self._waits.end("transactions")
            async for transaction in transactions:
                await self._keep(transaction, look_at)

    async def _missed(self, newest: int | None) -> AsyncIterator[Transaction]:
        """Yield the statement's rows that may not be kept yet, newest first."""
        start, seen = self._start if newest is None else None, 0
        async for row in self._client.statement(date_from=start):
            seen += 1
            if newest is not None and row.transaction_id <= newest and seen > _AGAIN:
                return
            yield row

    async def _keep(self, transaction: Transaction, look_at: Callable[[int], None]) -> None:
        self._writer.add(TRANSACTIONS, transaction_row(self._loginid, transaction))
        if transaction.contract_id is not None:
            look_at(transaction.contract_id)
        await self._writer.room()

    async def _follow_contract(self, contract_id: int) -> None:
        """Keep each status of a contract, until it is sold."""
        status: str | None = ""
        try:
            async with self._client.open_contract(contract_id) as contract:
                async for now in contract:
                    if now.status != status:
                        self._writer.add(CONTRACTS, contract_row(self._loginid, now))
                        status = now.status
        except DerivError as error:
            _log.warning("contract %d: %s", contract_id, error)
        finally:
            self._followed.discard(contract_id)

    async def _repeated(
        self,
        what: str,
        follow: Callable[[], Awaitable[None]],
        lasting: Callable[[DerivError], bool] = lambda _: False,
    ) -> None:
        """Run *follow* anew whenever its stream ends with an error, until the client has ended.

        An error that is *lasting* is raised.
        """
        while True:
            try:
                return await follow()
            except DerivError as error:
                if lasting(error):
                    raise
                if isinstance(error, ClientClosed | ConnectionFailed):
                    return None
                self._waits.begin(what, error)
                _log.warning("account: %s; trying again in %.0f s", error, _PAUSE)
                await trio.sleep(_PAUSE)


def _is_lasting(error: DerivError) -> bool:
    """Return whether it is no use to ask again: there is no account, say."""
    refused = isinstance(error, ApiError) and not is_passing(error)
    return refused or isinstance(error, ConnectionFailed)
