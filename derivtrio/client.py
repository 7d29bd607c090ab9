"""What users hold: `Client`, and each method that they call. `assembly` makes one."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from derivtrio.api import Api
from derivtrio.api.catalog import CHANGES
from derivtrio.calls.metrics import Metrics
from derivtrio.calls.raw import raw_call
from derivtrio.calls.request import checked_call, make_call
from derivtrio.calls.status import Status
from derivtrio.concurrency.buffer import OverflowPolicy
from derivtrio.concurrency.home import require_home
from derivtrio.connection.disconnect import NORMAL, Disconnect
from derivtrio.errors import ConnectionChanged, ReconnectRequested, invalid_request
from derivtrio.events import Event
from derivtrio.models import Balance, Candle, OpenContract, Proposal, Tick, Transaction
from derivtrio.policy.rate_limits import BudgetUse
from derivtrio.streams.client_events import event_stream
from derivtrio.streams.registry import Registry
from derivtrio.streams.requests import WhenClosed, subscribing
from derivtrio.streams.snapshots import (
    balance_stream,
    contract_stream,
    message_stream,
    proposal_stream,
)
from derivtrio.streams.subscription import Subscription
from derivtrio.supervision.lifetime import Lifetime
from derivtrio.supervision.login import change_account, change_by_call, log_out
from derivtrio.supervision.supervisor import Supervisor
from derivtrio.supervision.tokens import TokenSource
from derivtrio.trading.orders import contract_words
from derivtrio.trading.trader import Trader
from derivtrio.wording import counted


@attrs.define(eq=False, repr=False)
class Client(Trader):
    """A connection to Deriv that is kept up; made by `open_client`.

    It belongs to the `trio.run` that opened it. In another one, in another thread, or in a task of
    asyncio's, whatever asks the server raises a `RuntimeError`, and nothing is sent.
    """

    _supervisor: Supervisor
    _lifetime: Lifetime

    @property
    def _registry(self) -> Registry:
        return self._supervisor.registry

    def __repr__(self) -> str:
        status = self.status
        where = "" if status.connection is None else f", connection {status.connection}"
        pending = counted(status.pending, "call")
        streams = counted(status.subscriptions, "subscription")
        return f"<derivtrio.Client {status.state.value}{where}, {pending} pending, {streams}>"

    @trio.lowlevel.enable_ki_protection
    async def call(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make one API call as Deriv documents it, and return the reply as it came.

        *request* is not changed, and may be changed at any time afterwards. A `req_id` in it is
        replaced by one of the client's own. During an outage the call waits; it is sent when there
        is a connection. Use trio's cancel scopes to wait less long. v3's `authorize` and `logout`
        are remembered for later connections, as `client.authorize` and `client.logout` have it.

        *Cancellation*: a call that was not written yet is never sent. One that was may be executed.

        Raises:
            InvalidRequest: the request is malformed, or not as Deriv's schemas have it (see
                `Settings.check_requests`); nothing was sent. Or the server says so.
            ApiError: the server's answer is an error.
            RateLimited: the server finds that too much is asked. What only reads is asked again for
                more than an hour before that.
            OutcomeUnknown: it changes something, was written, and may have been executed.
            ConnectionLost: it only reads, and broke three connections in a row.
            ResponseTimeout: it only reads, and had no reply within `Settings.response_timeout`.
            ClientClosed, ConnectionFailed: the client has ended.

        """
        call = checked_call(request, self._session)
        if call.name in CHANGES:
            return await change_by_call(self._supervisor, call.request)
        return await make_call(call, self._session)

    @property
    def api(self) -> Api:
        """Every call by its name, with typed fields: `await client.api.time()`.

        It does what `call` does. A call's own member, where it is more than a 1, is the first
        argument: `await client.api.ticks_history("R_100", end="latest")`.
        """
        checked = self._session.settings.check_requests
        return Api(self.call, self._session.generation, checked)

    async def send(self, message: str | bytes | Mapping[str, Any]) -> None:
        """Write a message of your own making; return when the socket has it.

        A mapping is written as JSON. What the server answers is seen by
        `client.events(traffic=True)` alone. A `req_id` of yours must be 2147483648 or more.
        `authorize` and `logout` are refused: the client must know which account it acts for.
        `reconcile` knows nothing of what is bought or sold in this way.

        *Cancellation*: a message that was not written yet is never sent.

        Raises:
            InvalidRequest: *message* is not str, bytes or a mapping, or has no JSON form; its
                `req_id` is not one of yours; or it is `authorize` or `logout`. Nothing was sent.
            OutcomeUnknown: the connection was lost while it was being written.
            ClientClosed, ConnectionFailed: the client has ended.

        """
        call = raw_call(message)
        if call.name in CHANGES:
            text = f"{call.name} is not sent behind the client's back; use client.{call.name}"
            raise invalid_request(text)
        await make_call(call, self._session)

    async def authorize(self, token: TokenSource) -> dict[str, Any]:
        """Act for the account of *token* from now on, also on later connections (v3 only).

        Return the server's reply. *token* is what `open_client` takes. Streams of account data that
        are open end with `AuthorizationRequired`.

        *Cancellation*: a request that was written is taken back: what the server accepted before
        it is asked for again.

        Raises:
            InvalidToken, ApiError: the server refuses; what was accepted before it stands.
            InvalidRequest: this is the Options API, where a connection has its account for good.
            EndpointFailed: *token* is a function, and is broken.
            ValueError: *token* is not a token.

        And what `call` raises.

        """
        require_home(self._session.home)
        return await change_account(self._supervisor, token)

    async def logout(self) -> None:
        """Act for nobody from now on, also on later connections (v3 only).

        Streams of the account's data end with `AuthorizationRequired`.

        *Cancellation*: if the request was not written, nothing has changed; if it was, no later
        connection is authorized.

        Raises:
            ApiError: the server refuses; nothing has changed.
            OutcomeUnknown: it may not have been executed; no later connection is authorized.
            InvalidRequest: this is the Options API, where a connection has its account for good.

        And what `call` raises.

        """
        require_home(self._session.home)
        await log_out(self._supervisor)

    def subscribe(
        self,
        request: Mapping[str, Any],
        *,
        buffer: int = 1024,
        overflow: OverflowPolicy = "error",
    ) -> Subscription[dict[str, Any]]:
        """Return a stream of the messages that *request* brings, the first reply included.

        `subscribe: 1` is added if absent. `buffer` is how many messages the consumer may lag
        behind, those included that come at the same time; `overflow` says what happens then.
        After a reconnect the stream is asked for again, and the reply to that is its next message.
        Each consumer may change its messages: they are its own, also where several share a stream.

        The stream of all open contracts (`proposal_open_contract` without a `contract_id`) goes on
        while there are none, and an error in it, which is about one of them, is a message like the
        others.

        Raises:
            InvalidRequest: the request is malformed, or does not stream; nothing was sent.
            ValueError: *buffer* is not a number of messages, or *overflow* is not a policy.

        """
        request = subscribing(request)
        checked_call(request, self._session)
        return message_stream(self._registry, request, buffer=buffer, overflow=overflow)

    def ticks(
        self,
        symbol: str,
        *,
        start: int | None = None,
        strict: bool = False,
        buffer: int = 1024,
        overflow: OverflowPolicy = "error",
        when_closed: WhenClosed = "raise",
    ) -> Subscription[Tick]:
        """Return the ticks of *symbol*, in order, each once, whatever happens to the connection.

        The newest tick comes at once. With *start*, an epoch in seconds, the stream begins there
        and runs into the present without a seam. What was missed in an outage is fetched from
        the server's history when the consumer gets there, also if the server then refuses to go
        on, say because the market has closed: its error comes last. What the server no longer has
        is a `Gap`, in `gaps` and `client.events()`, or with `strict` raised as `NotContinuous`;
        then `overflow` is `"error"`.

        `buffer` and `overflow` mean what they mean for `subscribe`; history does not count.

        *when_closed* says what happens while the market is closed. With `"raise"` the stream ends
        with `MarketClosed`; entering raises it, too. With `"wait"` entering does not wait for the
        market. The `async for` then delivers the history that was asked for, if any, and sleeps
        until the market opens by the server's trading times; it asks every ten minutes whether it
        has. It goes on with what was missed. A log record, INFO, says until when it sleeps.

        Raises:
            InvalidRequest: an argument that makes no sense; nothing was sent.
            ValueError: *buffer* or *overflow*, as for `subscribe`.

        """
        from derivtrio.streams.ticks import tick_stream  # noqa: PLC0415 - not all need it

        return tick_stream(
            self._registry,
            symbol,
            start,
            strict=strict,
            buffer=buffer,
            overflow=overflow,
            when_closed=when_closed,
        )

    def candles(
        self,
        symbol: str,
        granularity: int = 60,
        *,
        start: int | None = None,
        closed_only: bool = False,
        strict: bool = False,
        buffer: int = 1024,
        overflow: OverflowPolicy = "error",
        when_closed: WhenClosed = "raise",
    ) -> Subscription[Candle]:
        """Return the candles of *symbol*, as they form and, at their end, with `closed` set.

        *granularity* is their length in seconds, one of those that Deriv has. With *start* the
        stream begins with the first candle that opens at or after that epoch; with `closed_only`
        it has each candle once, in its final form. Otherwise it is as `ticks` is: the candle that
        was forming when a connection broke, or the market closed, comes in its final form, too.

        Raises:
            InvalidRequest: an argument that makes no sense; nothing was sent.
            ValueError: *buffer* or *overflow*, as for `subscribe`.

        """
        from derivtrio.streams.candles import candle_stream  # noqa: PLC0415 - not all need it

        return candle_stream(
            self._registry,
            symbol,
            granularity,
            start,
            closed_only=closed_only,
            strict=strict,
            buffer=buffer,
            overflow=overflow,
            when_closed=when_closed,
        )

    def balance(
        self,
        *,
        loginid: str | None = None,
        buffer: int = 1024,
        overflow: OverflowPolicy = "error",
    ) -> Subscription[Balance]:
        """Return the balances of the account: the present one, then each change.

        *loginid* says which account; without it, the account of the first token. After a reconnect
        the next item is the balance of that moment.

        `buffer` and `overflow` mean what they mean for `subscribe`.

        Raises:
            InvalidRequest: *loginid* is not a login id; nothing was sent.
            ValueError: *buffer* or *overflow*, as for `subscribe`.

        """
        account = self._account(loginid)
        return balance_stream(self._registry, account, buffer=buffer, overflow=overflow)

    def transactions(
        self,
        *,
        loginid: str | None = None,
        buffer: int = 1024,
        overflow: OverflowPolicy = "error",
    ) -> Subscription[Transaction]:
        """Return the account's transactions, in order, each once, whatever happens meanwhile.

        The first one is the first after the stream was entered. What was missed in an outage is
        taken from the account's statement when the consumer gets there. A transaction from the
        statement has other members than one from the stream: payout and shortcode may be absent.

        *loginid* says which account; without it, the account of the first token.

        `buffer` and `overflow` mean what they mean for `subscribe`.

        Raises:
            InvalidRequest: *loginid* is not a login id; nothing was sent.
            ValueError: *buffer* or *overflow*, as for `subscribe`.

        """
        account = self._account(loginid)
        from derivtrio.streams.transactions import transaction_stream  # noqa: PLC0415 - not all do

        return transaction_stream(self._registry, account, buffer=buffer, overflow=overflow)

    def open_contract(
        self,
        contract_id: int,
        *,
        loginid: str | None = None,
        buffer: int = 1024,
        overflow: OverflowPolicy = "error",
    ) -> Subscription[OpenContract]:
        """Return the life of a contract: as it is now, each change, and its end.

        The stream is over after the message in which the contract is sold; at once, if it was
        sold before. Across reconnects it goes on with the contract as it then is. If the server
        has nothing to say of a contract that is not sold, the reading raises `ProtocolViolation`.

        *loginid* says which account; without it, the account of the first token.

        `buffer` and `overflow` mean what they mean for `subscribe`.

        Raises:
            InvalidRequest: *contract_id* is not a number, or *loginid* is not a login id; nothing
                was sent.
            ValueError: *buffer* or *overflow*, as for `subscribe`.

        """
        account = self._account(loginid)
        return contract_stream(
            self._registry, contract_id, account, buffer=buffer, overflow=overflow
        )

    def proposal(
        self,
        parameters: Mapping[str, Any] | None = None,
        /,
        *,
        buffer: int = 1024,
        overflow: OverflowPolicy = "error",
        **more: Any,
    ) -> Subscription[Proposal]:
        """Return what a contract costs: now, and at each change.

        The contract is described as Deriv documents it, by a mapping, by keywords, or both. Either
        generation's name for the symbol will do, `symbol` or `underlying_symbol`.

            async with client.proposal(
                contract_type="CALL", symbol="R_100", currency="USD",
                basis="stake", amount=10, duration=5, duration_unit="t",
            ) as prices:
                purchase = await client.buy(await anext(prices))

        After a reconnect the prices come with a new `id`; an old one cannot be bought any more. A
        price that does not change comes once, and the stream is over. v3 allows five different
        streams of prices at a time; entering one more raises `RateLimited`, and is not sent.

        `buffer` and `overflow` mean what they mean for `subscribe`.

        Raises:
            InvalidRequest: the contract is not described; nothing was sent.
            ValueError: *buffer* or *overflow*, as for `subscribe`.

        """
        words = contract_words(
            {} if parameters is None else parameters, more, self._session.generation
        )
        request = subscribing({"proposal": 1, **words})
        checked_call(request, self._session)
        asked = {name: request[name] for name in words if name in request}
        return proposal_stream(self._registry, request, asked, buffer=buffer, overflow=overflow)

    def events(
        self,
        *,
        traffic: bool = False,
        buffer: int = 1024,
        overflow: OverflowPolicy = "error",
    ) -> Subscription[Event]:
        """Return a stream of what happens to the connection: the present state, then each change.

        The first item is the event that says where the client is: `Ready` if it is ready, or else
        the last `Connecting`, `Opened`, `Failed`, `Closed` or `Waiting`, with the time at which it
        happened. While the client is closing there is none. Entering is not a checkpoint.
        With `traffic` it has every message too, tokens masked.

        `buffer` and `overflow` mean what they mean for `subscribe`.

        Raises:
            InvalidRequest: *traffic* is not True or False.
            ValueError: *buffer* is not a number of events, or *overflow* is not a policy.

        """
        require_home(self._session.home)
        bus = self._session.bus
        return event_stream(bus, traffic=traffic, buffer=buffer, overflow=overflow)

    @asynccontextmanager
    async def same_connection(self) -> AsyncGenerator[None]:
        """Cancel the block if the connection is replaced: for sequences that must not straddle two.

        A proposal's id, for example, is worth nothing on another connection. Waits until the
        client is ready.

        Raises:
            ConnectionChanged: the block was cancelled. A call inside it whose outcome is unknown
                raises `OutcomeUnknown` instead. If the block has gone on after that, to look the
                trade up for example, the text says that it is in doubt, and the cause is the doubt.
            ClientClosed, ConnectionFailed: the client has ended.

        """
        await self.wait_ready()
        number = self.status.connection
        with trio.CancelScope() as guard:
            self._session.guards.add(guard)
            try:
                yield
            finally:
                self._session.guards.discard(guard)
        if guard.cancelled_caught:
            text = f"connection {number} is gone, and this block was only for it"
            doubts = [each for each in self.doubts if each.connection == number]
            if doubts:
                trades = counted(len(doubts), "trade", "is")
                text = f"{text}; {trades} in doubt: see client.doubts"
            raise ConnectionChanged(text) from (doubts[-1] if doubts else None)

    @property
    def status(self) -> Status:
        """A snapshot of the client, to be read under trio, in the client's own thread."""
        session, state = self._session, self._session.state
        return Status(
            state=state.name,
            connection=state.connection,
            attempt=state.attempt,
            since=state.since,
            round_trip=state.round_trip,
            last_message_at=session.bus.counters.last_message_wall,
            pending=len(session.queue) + session.count_unanswered(),
            waiting_for=session.waiting_for,
            subscriptions=len(self._registry),
            last_error=state.last_error,
        )

    @property
    def metrics(self) -> Metrics:
        """What was counted since the client was opened: messages, calls, reconnects, and so on.

        It may be read in any thread, and after the client's end.
        """
        return self._session.metrics

    @property
    def budgets(self) -> list[BudgetUse]:
        """How much of each rate limit is used up now; empty with `Settings(pacing=False)`.

        Clients with the same `pacer` see the same. They are read in the client's own `trio.run`.
        """
        require_home(self._session.home)
        return self._session.queue.budgets.usage(trio.current_time())

    async def reconnect(self) -> None:
        """Replace the connection by a new one, now; return when that is ready.

        The old connection ends with a goodbye, and whatever its loss means for a call or a stream
        is the same as for any other loss: reads are asked again, changes that were written end in
        `OutcomeUnknown`, streams go on without a hole. If there is no connection, or it is already
        lost, there is nothing to replace: this waits for the next one. After a connection that did
        not stay ready for `Settings.stable_after` the backoff applies, so calling this in a loop
        does no harm.

        *Cancellation*: ends the waiting; the connection is replaced all the same.

        Raises:
            ClientClosed, ConnectionFailed: the client has ended.

        """
        require_home(self._session.home)
        connection = self._session.usable_connection
        if connection is not None and not self._session.state.ending:
            error = ReconnectRequested("the program asked for a new connection")
            connection.lose(Disconnect("us", NORMAL, error=error))
        await self.wait_ready()

    async def wait_ready(self) -> None:
        """Wait until calls flow.

        *Cancellation*: ends the waiting.

        Raises:
            ClientClosed, ConnectionFailed: they never will again.

        """
        require_home(self._session.home)
        state = self._session.state
        await trio.lowlevel.checkpoint()
        while not self._session.is_ready:
            if state.ending:
                await trio.lowlevel.checkpoint_if_cancelled()  # as the block of a failed client is
                raise self._lifetime.refusal()
            await state.change()

    async def aclose(self, code: int = NORMAL, reason: str = "") -> None:
        """Close the connection with a goodbye, and end everything; more often is harmless.

        *Cancellation*: ends the waiting; the closing goes on.

        Raises:
            ValueError: *code* is not 1000 or from 3000 to 4999, or *reason* is no str of at most
                123 bytes.

        """
        require_home(self._session.home)
        await self._lifetime.close(code, reason)
