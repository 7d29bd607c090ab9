"""Who is told what when money moves.

Everybody who listens to the account hears of it: `balance` and `transaction` streams have a
message each; a contract's own stream has its last one when the contract has ended. Whoever
follows all open contracts gets a stream for each new one, under the `req_id` of that request.
"""

from collections.abc import Iterator

from derivtrio.simulator.accounts.ledger import Transaction
from derivtrio.simulator.calls import payloads
from derivtrio.simulator.calls.authorization import balance_news
from derivtrio.simulator.contracts.contract import Contract
from derivtrio.simulator.market.market import Tick
from derivtrio.simulator.protocol.envelope import Message
from derivtrio.simulator.sessions.session import Session, World
from derivtrio.simulator.sessions.streams import Key, Stream

POSITION = "proposal_open_contract"


def settle(world: World, epoch: int) -> None:
    """Settle what has ended up to *epoch*, and spread the news."""
    for entry in world.desk.settle(epoch):
        spread(world, entry, epoch)


def spread(world: World, entry: Transaction, epoch: int) -> None:
    """Tell every session that listens about *entry*, at *epoch*."""
    for session in world.audience.values():
        session.subscriptions.tell(_news(session, entry, epoch), epoch)


def transaction_key(loginid: str) -> Key:
    """Return the key of the stream of the transactions of *loginid*."""
    return "transaction", "transaction", loginid


def contract_key(loginid: str, contract_id: int) -> Key:
    """Return the key of the stream of a contract."""
    return POSITION, POSITION, loginid, contract_id


def all_contracts_key(loginid: str) -> Key:
    """Return the key of the request for all open contracts."""
    return POSITION, POSITION, loginid, "all"


def follow_contract(session: Session, contract: Contract, request: Message, epoch: int) -> Stream:
    """Register the stream of *contract*, from the ticks after *epoch* on."""
    desk = session.world.desk
    key = contract_key(contract.loginid, contract.contract_id)
    stream = session.subscriptions.add(key, request)

    def render(tick: Tick) -> tuple[str, Message]:
        return POSITION, payloads.open_contract(contract, desk, tick.epoch)

    session.subscriptions.follow(stream, contract.order.symbol.name, render, epoch)
    return stream


def _news(session: Session, entry: Transaction, epoch: int) -> list[Message]:
    stream = session.subscriptions.find(transaction_key(entry.loginid))
    told = [] if stream is None else [stream.message("transaction", payloads.transaction(entry))]
    told += balance_news(session, session.world.accounts[entry.loginid])
    if entry.contract is not None:
        told += _contract_news(session, entry.contract, epoch)
    return told


def _contract_news(session: Session, contract: Contract, epoch: int) -> Iterator[Message]:
    subscriptions, loginid = session.subscriptions, contract.loginid
    stream = subscriptions.find(contract_key(loginid, contract.contract_id))
    parent = subscriptions.find(all_contracts_key(loginid))
    if stream is None and parent is not None and contract.is_open:
        stream = follow_contract(session, contract, parent.request, epoch)
    if stream is not None:
        yield stream.message(POSITION, payloads.open_contract(contract, session.world.desk, epoch))
        if not contract.is_open:
            subscriptions.remove(stream.id)
