"""The call `proposal`: the price of a contract.

1. A proposal can be bought by its id, on the same connection. One attempt uses it up, even a
   failed one.
2. A streamed proposal is valid as long as its stream, which has a message for every tick. (Deriv
   leaves out the ticks at which the price stays the same.) Any other is valid for a minute, which
   is our choice.
3. On v3 a connection can have five streams of proposals. (Of the Options API no such limit is
   known.)
"""

from derivtrio.api.codec import sorted_text
from derivtrio.simulator.calls import trade_payloads
from derivtrio.simulator.contracts.orders import ContractOrder, read_order
from derivtrio.simulator.market.market import MarketTick
from derivtrio.simulator.protocol.envelope import Message, Refusal, reply
from derivtrio.simulator.sessions.session import ServerSession
from derivtrio.simulator.sessions.streams import ActiveStream, StreamKey

#: Seconds.
_LIFETIME = 60
_MAX_STREAMS = 5
_ENVELOPE = ("passthrough", "req_id", "subscribe")


def proposal(session: ServerSession, request: Message, epoch: int) -> list[Message]:
    """Answer `proposal`, and open a stream if the request subscribes."""
    backend = session.backend
    order = read_order(backend.market, request)
    payload = trade_payloads.proposal(backend.broker.quote(order, epoch))
    _remove_expired(session, epoch)
    if "subscribe" in request:
        stream = _open_stream(session, request, order, epoch)
        return [stream.message("proposal", payload)]
    proposal_id = session.streams.new_id()
    session.proposals[proposal_id] = order, epoch + _LIFETIME
    return [reply(request, "proposal") | {"proposal": payload | {"id": proposal_id}}]


def take_order(session: ServerSession, proposal_id: str, epoch: int) -> ContractOrder:
    """Use up the proposal with the id *proposal_id*, and return its order.

    Raises:
        Refusal: there is no such proposal, or it is not valid any more.

    """
    _remove_expired(session, epoch)
    if proposal_id not in session.proposals:
        raise unknown_proposal()
    order, _ = session.proposals.pop(proposal_id)
    session.streams.remove(proposal_id)
    return order


def unknown_proposal() -> Refusal:
    """Return the refusal of a purchase by an unknown id."""
    return Refusal(code="InvalidContractProposal", message="Unknown contract proposal")


def _open_stream(
    session: ServerSession, request: Message, order: ContractOrder, epoch: int
) -> ActiveStream:
    streams, broker = session.streams, session.backend.broker
    stream = streams.add(_key(request), request)
    count = sum(each.kind == "proposal" for each in streams.by_id.values())
    if session.speaks_v3 and count > _MAX_STREAMS:
        streams.remove(stream.id)
        text = "You have reached the rate limit for proposal."
        raise Refusal(code="RateLimit", message=text)

    def render(tick: MarketTick) -> tuple[str, Message]:
        return "proposal", trade_payloads.proposal(broker.quote(order, tick.epoch))

    streams.follow(stream, order.symbol.name, render, epoch)
    session.proposals[stream.id] = order, None
    return stream


def _key(request: Message) -> StreamKey:
    wanted = {name: value for name, value in request.items() if name not in _ENVELOPE}
    return "proposal", "proposal", sorted_text(wanted)


def _remove_expired(session: ServerSession, epoch: int) -> None:
    session.proposals = {
        proposal_id: (order, valid_until)
        for proposal_id, (order, valid_until) in session.proposals.items()
        if (proposal_id in session.streams.by_id if valid_until is None else epoch <= valid_until)
    }
