"""Streams whose every message is the whole truth: a balance, a contract, a price, a raw message.

Nothing is missing after an interruption, because the next snapshot says it all. So these
translators put no holes into the stream. The stream of one contract is over when the contract is
sold: Deriv says nothing after that.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Never

import attrs

from derivtrio.api import codec
from derivtrio.api.catalog import name_of
from derivtrio.api.parsing import exact, is_ident, money, named, text_of, whole_or_none
from derivtrio.api.trades import contract_in
from derivtrio.calls.request import note_limits
from derivtrio.concurrency.buffer import OverflowPolicy
from derivtrio.errors import invalid_request
from derivtrio.models import Balance, OpenContract, Proposal
from derivtrio.streams.interfaces import Translator
from derivtrio.streams.registry import Registry
from derivtrio.streams.source import ServerStream
from derivtrio.streams.subscription import Subscription, new_buffer
from derivtrio.wording import shown

#: No reply is so late, in seconds: if a spot is so much older, it was the former's time that was
#: wrong.
_NEVER_AS_LATE: Final = 600


def message_stream(
    registry: Registry, request: Mapping[str, Any], *, buffer: int, overflow: OverflowPolicy
) -> Subscription[dict[str, Any]]:
    """Return the subscription that `client.subscribe` describes."""
    name = name_of(request)
    translator: Translator | None = None
    if name == "website_status":
        translator = StatusTranslator(partial(note_limits, session=registry.session))
    elif name == "buy" or "contract_id" in request:
        translator = UntypedContractTranslator()
    return _snapshots(registry, request, translator, buffer, overflow)


def balance_stream(
    registry: Registry, account: Mapping[str, str], *, buffer: int, overflow: OverflowPolicy
) -> Subscription[Balance]:
    """Return the subscription that `client.balance` describes; *account* names the account."""
    request = {"balance": 1, "subscribe": 1, **account}
    return _snapshots(registry, request, BalanceTranslator(), buffer, overflow)


def contract_stream(
    registry: Registry,
    contract_id: int,
    account: Mapping[str, str],
    *,
    buffer: int,
    overflow: OverflowPolicy,
) -> Subscription[OpenContract]:
    """Return the subscription that `client.open_contract` describes, for *account*."""
    if not is_ident(contract_id):
        text = f"a contract_id is an int above 0, not {shown(contract_id)}"
        raise invalid_request(text)
    request = {"proposal_open_contract": 1, "contract_id": contract_id, "subscribe": 1, **account}
    return _snapshots(registry, request, ContractTranslator(contract_id), buffer, overflow)


def proposal_stream(
    registry: Registry,
    request: Mapping[str, Any],
    parameters: Mapping[str, Any],
    *,
    buffer: int,
    overflow: OverflowPolicy,
) -> Subscription[Proposal]:
    """Return the subscription that `client.proposal` describes.

    *request* asks for the price of the contract that *parameters* describe.
    """
    state = registry.session.state
    translator = ProposalTranslator(parameters, lambda: state.connection)
    return _snapshots(registry, request, translator, buffer, overflow)


def _snapshots(
    registry: Registry,
    request: Mapping[str, Any],
    translator: Translator | None,
    buffer: int,
    overflow: OverflowPolicy,
) -> Subscription[Any]:
    name = name_of(request)
    items = new_buffer(name, buffer, overflow)
    return Subscription(items, ServerStream(registry, name, request, translator, items))


class Snapshots:
    """What the translators below have in common: nothing can be missing."""

    __slots__ = ()

    def answered(self, *, late: bool) -> None:
        """Do nothing."""

    def interrupt(self) -> None:
        """Do nothing."""

    def skip(self) -> None:
        """Have the stream asked for again: its first message is the present truth."""

    def missing(self) -> Sequence[Never]:
        """Return nothing."""
        return ()


@attrs.define(eq=False, repr=False)
class BalanceTranslator(Snapshots):
    """Translates messages into balances of an account."""

    over: bool = attrs.field(default=False, init=False)
    implausible: Exception | None = attrs.field(default=None, init=False)

    def feed(self, message: Mapping[str, Any]) -> Sequence[Balance]:
        """Return the balance in *message*."""
        payload = message["balance"]
        amount = exact(payload["balance"])
        return (Balance(named(payload["loginid"]), amount, text_of(payload["currency"])),)


@attrs.define(eq=False, repr=False)
class ContractTranslator(Snapshots):
    """Translates messages about one contract, until the contract is sold."""

    _contract_id: int | None = None
    over: bool = attrs.field(default=False, init=False)
    implausible: Exception | None = attrs.field(default=None, init=False)
    _spot_time: int = attrs.field(default=0, init=False)

    def feed(self, message: Mapping[str, Any]) -> Sequence[OpenContract]:
        """Return the contract in *message*; nothing if it is empty, as for an unknown contract.

        A late reply that newer messages have overtaken is left out.
        """
        payload = message["proposal_open_contract"]
        if payload == {}:
            return ()
        contract = contract_in(payload)
        if self._contract_id not in (None, contract.contract_id):
            text = f"it is about contract {contract.contract_id}, not {self._contract_id}"
            raise ValueError(text)
        spot_time = whole_or_none(payload.get("current_spot_time")) or self._spot_time
        if 0 < self._spot_time - spot_time < _NEVER_AS_LATE and not contract.is_sold:
            return ()
        self._spot_time, self.over = spot_time, contract.is_sold
        return (contract,)


@attrs.define(eq=False, repr=False)
class UntypedContractTranslator(Snapshots):
    """Passes on messages about one contract, until the contract is sold.

    The first message may be the reply to its purchase.
    """

    over: bool = attrs.field(default=False, init=False)
    implausible: Exception | None = attrs.field(default=None, init=False)

    def feed(self, message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return *message*."""
        payload = message.get("proposal_open_contract")
        self.over = isinstance(payload, dict) and bool(payload.get("is_sold"))
        return (message,)


@attrs.define(eq=False, repr=False)
class StatusTranslator(Snapshots):
    """Passes on messages of `website_status`, and has the limits in them noted."""

    _note: Callable[[Mapping[str, Any]], None]
    over: bool = attrs.field(default=False, init=False)
    implausible: Exception | None = attrs.field(default=None, init=False)

    def feed(self, message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return *message*."""
        self._note(message)
        return (message,)


@attrs.define(eq=False, repr=False)
class ProposalTranslator(Snapshots):
    """Translates messages into prices of the contract that `parameters` describe.

    `connection` returns the number of the present connection.
    """

    _parameters: Mapping[str, Any]
    _connection: Callable[[], int | None]
    over: bool = attrs.field(default=False, init=False)
    implausible: Exception | None = attrs.field(default=None, init=False)

    def feed(self, message: Mapping[str, Any]) -> Sequence[Proposal]:
        """Return the price in *message*."""
        payload = message["proposal"]
        proposal = Proposal(
            id=named(payload["id"]),
            ask_price=exact(payload["ask_price"]),
            payout=money(payload.get("payout")),
            spot=money(payload.get("spot")),
            spot_time=whole_or_none(payload.get("spot_time")),
            longcode=text_of(payload.get("longcode")),
            parameters=codec.own_copy(self._parameters),
            connection=self._connection(),
            raw=payload,
        )
        return (proposal,)
