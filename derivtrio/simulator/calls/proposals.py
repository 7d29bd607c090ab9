"""The call `proposal`: what a contract would cost.

A proposal has an id by which it can be bought, on this connection only, and once: an attempt uses
it up, whether or not it succeeds. One that is streamed holds as long as its stream and has a
message for every tick (Deriv leaves out those whose price is constant); any other holds for a
minute, a number of ours. At most five can be streamed at once.
"""

from derivtrio.codec import sorted_text
from derivtrio.simulator.calls import payloads
from derivtrio.simulator.contracts.orders import ContractOrder, read_order
from derivtrio.simulator.market.market import MarketTick
from derivtrio.simulator.protocol.envelope import Message, Refusal, reply
from derivtrio.simulator.sessions.session import ServerSession
from derivtrio.simulator.sessions.streams import ActiveStream, StreamKey

_LIFETIME = 60
_MOST = 5
_ENVELOPE = ("passthrough", "req_id", "subscribe")


def proposal(session: ServerSession, request: Message, epoch: int) -> list[Message]:
    """Answer `proposal`, and keep the stream if asked to."""
    backend = session.backend
    order = read_order(backend.market, request)
    payload = payloads.proposal(backend.broker.quote(order, epoch))
    _forget_lapsed(session, epoch)
    if "subscribe" in request:
        stream = _open_stream(session, request, order, epoch)
        return [stream.message("proposal", payload)]
    number = session.streams.new_id()
    session.proposals[number] = order, epoch + _LIFETIME
    return [reply(request, "proposal") | {"proposal": payload | {"id": number}}]


def take_order(session: ServerSession, number: str, epoch: int) -> ContractOrder:
    """Return the order that was proposed with the id *number*, and use the proposal up.

    Raises:
        Refusal: there is no such proposal (any more).

    """
    _forget_lapsed(session, epoch)
    if number not in session.proposals:
        raise unknown_proposal()
    order, _ = session.proposals.pop(number)
    session.streams.remove(number)
    return order


def unknown_proposal() -> Refusal:
    """Return the refusal of a purchase by an id that is none."""
    return Refusal(code="InvalidContractProposal", message="Unknown contract proposal")


def _open_stream(
    session: ServerSession, request: Message, order: ContractOrder, epoch: int
) -> ActiveStream:
    streams, broker = session.streams, session.backend.broker
    stream = streams.add(_key(request), request)
    if sum(each.kind == "proposal" for each in streams.by_id.values()) > _MOST:
        streams.remove(stream.id)
        text = "You have reached the rate limit for proposal."
        raise Refusal(code="RateLimit", message=text)

    def render(tick: MarketTick) -> tuple[str, Message]:
        return "proposal", payloads.proposal(broker.quote(order, tick.epoch))

    streams.follow(stream, order.symbol.name, render, epoch)
    session.proposals[stream.id] = order, None
    return stream


def _key(request: Message) -> StreamKey:
    wanted = {name: value for name, value in request.items() if name not in _ENVELOPE}
    return "proposal", "proposal", sorted_text(wanted)


def _forget_lapsed(session: ServerSession, epoch: int) -> None:
    session.proposals = {
        number: (order, lapses)
        for number, (order, lapses) in session.proposals.items()
        if (number in session.streams.by_id if lapses is None else epoch <= lapses)
    }
