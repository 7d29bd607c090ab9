"""The call `proposal`: what a contract would cost.

A proposal has an id by which it can be bought, on this connection only, and once: an attempt uses
it up, whether or not it succeeds. One that is streamed holds as long as its stream and has a
message for every tick (Deriv leaves out those whose price is constant); any other holds for a
minute, a number of ours. At most five can be streamed at once.
"""

from derivtrio.codec import sorted_text
from derivtrio.simulator.calls import payloads
from derivtrio.simulator.contracts.orders import Order, read_order
from derivtrio.simulator.market.market import Tick
from derivtrio.simulator.protocol.envelope import Message, Refusal, reply
from derivtrio.simulator.sessions.session import Session
from derivtrio.simulator.sessions.streams import Key, Stream

_LIFETIME = 60
_MOST = 5
_ENVELOPE = ("passthrough", "req_id", "subscribe")


def proposal(session: Session, request: Message, epoch: int) -> list[Message]:
    """Answer `proposal`, and keep the stream if asked to."""
    world = session.world
    order = read_order(world.market, request)
    payload = payloads.proposal(world.desk.quote(order, epoch))
    _forget_lapsed(session, epoch)
    if "subscribe" in request:
        stream = _open_stream(session, request, order, epoch)
        return [stream.message("proposal", payload)]
    number = session.subscriptions.new_id()
    session.proposals[number] = order, epoch + _LIFETIME
    return [reply(request, "proposal") | {"proposal": payload | {"id": number}}]


def take_order(session: Session, number: str, epoch: int) -> Order:
    """Return the order that was proposed with the id *number*, and use the proposal up.

    Raises:
        Refusal: there is no such proposal (any more).

    """
    _forget_lapsed(session, epoch)
    if number not in session.proposals:
        raise unknown_proposal()
    order, _ = session.proposals.pop(number)
    session.subscriptions.remove(number)
    return order


def unknown_proposal() -> Refusal:
    """Return the refusal of a purchase by an id that is none."""
    return Refusal(code="InvalidContractProposal", message="Unknown contract proposal")


def _open_stream(session: Session, request: Message, order: Order, epoch: int) -> Stream:
    subscriptions, desk = session.subscriptions, session.world.desk
    stream = subscriptions.add(_key(request), request)
    if sum(each.kind == "proposal" for each in subscriptions.streams.values()) > _MOST:
        subscriptions.remove(stream.id)
        text = "You have reached the rate limit for proposal."
        raise Refusal(code="RateLimit", message=text)

    def render(tick: Tick) -> tuple[str, Message]:
        return "proposal", payloads.proposal(desk.quote(order, tick.epoch))

    subscriptions.follow(stream, order.symbol.name, render, epoch)
    session.proposals[stream.id] = order, None
    return stream


def _key(request: Message) -> Key:
    wanted = {name: value for name, value in request.items() if name not in _ENVELOPE}
    return "proposal", "proposal", sorted_text(wanted)


def _forget_lapsed(session: Session, epoch: int) -> None:
    session.proposals = {
        number: (order, lapses)
        for number, (order, lapses) in session.proposals.items()
        if (number in session.subscriptions.streams if lapses is None else epoch <= lapses)
    }
