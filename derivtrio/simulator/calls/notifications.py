"""Messages to all sessions when the money of an account changes.

1. Each `balance` and `transaction` stream of the account gets a message.
2. The stream of a contract gets its last message when the contract is closed.
3. A client that subscribed to all open contracts gets a stream for each new one, under the
   `req_id` of that request.
"""

from collections.abc import Iterator

from derivtrio.simulator.accounts.ledger import LedgerEntry
from derivtrio.simulator.calls import contract_payloads, trade_payloads
from derivtrio.simulator.calls.balance import balance_messages
from derivtrio.simulator.contracts.contract import Contract
from derivtrio.simulator.market.market import MarketTick
from derivtrio.simulator.protocol.envelope import Message
from derivtrio.simulator.sessions.session import Backend, ServerSession
from derivtrio.simulator.sessions.streams import ActiveStream, StreamKey

POSITION = "proposal_open_contract"


def settle_and_notify(backend: Backend, epoch: int) -> None:
    """Settle the contracts that ended up to *epoch*, and notify the sessions."""
    for entry in backend.broker.settle(epoch):
        notify(backend, entry, epoch)


def notify(backend: Backend, entry: LedgerEntry, epoch: int) -> None:
    """Send the messages about *entry* to all sessions at *epoch*."""
    for session in backend.sessions.values():
        session.streams.send_at(_messages_about(session, entry, epoch), epoch)


def transaction_key(loginid: str) -> StreamKey:
    """Return the key of the `transaction` stream of *loginid*."""
    return "transaction", "transaction", loginid


def contract_key(loginid: str, contract_id: int) -> StreamKey:
    """Return the key of the stream of a contract."""
    return POSITION, POSITION, loginid, contract_id


def all_contracts_key(loginid: str) -> StreamKey:
    """Return the key of the request for all open contracts."""
    return POSITION, POSITION, loginid, "all"


def follow_contract(
    session: ServerSession, contract: Contract, request: Message, epoch: int
) -> ActiveStream:
    """Open a stream of *contract*, with the ticks after *epoch*."""
    broker = session.backend.broker
    key = contract_key(contract.loginid, contract.contract_id)
    stream = session.streams.add(key, request)

    def render(tick: MarketTick) -> tuple[str, Message]:
        return POSITION, contract_payloads.open_contract(contract, broker, tick.epoch)

    session.streams.follow(stream, contract.order.symbol.name, render, epoch)
    return stream


def _messages_about(session: ServerSession, entry: LedgerEntry, epoch: int) -> Iterator[Message]:
    stream = session.streams.find(transaction_key(entry.loginid))
    if stream is not None:
        yield stream.message("transaction", trade_payloads.transaction(entry))
    yield from balance_messages(session, session.backend.accounts[entry.loginid])
    if entry.contract is not None:
        yield from _contract_messages(session, entry.contract, epoch)


def _contract_messages(session: ServerSession, contract: Contract, epoch: int) -> Iterator[Message]:
    streams, loginid = session.streams, contract.loginid
    stream = streams.find(contract_key(loginid, contract.contract_id))
    parent = streams.find(all_contracts_key(loginid))
    if stream is None and parent is not None and contract.is_open:
        stream = follow_contract(session, contract, parent.request, epoch)
        streams.mute_as(parent, stream)
    if stream is not None:
        yield stream.message(
            POSITION, contract_payloads.open_contract(contract, session.backend.broker, epoch)
        )
        # Not before the last message is taken: until then it matters whether the stream is mute.
        if not contract.is_open:
            streams.remove(stream.id)
