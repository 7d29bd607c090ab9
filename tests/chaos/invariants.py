"""The promises, as code: each function yields what is wrong, in words.

`IN_A_CALM` are checked when no fault has struck for a while, `AT_THE_END` when the client is gone.
What can be seen item by item is checked as it comes (`records`, `consumers`, `requests`).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import trio

from derivtrio import State
from tests.chaos import faults, inside
from tests.chaos.records import Contracts, Transactions, balance_of
from tests.chaos.requests import OPEN, Request
from tests.chaos.world import SETTLED, World

Invariant = Callable[[World], Iterable[str]]

#: What may be added to the seconds between two ticks.
_PERIOD: Final = 10.0

#: What a table may hold for each consumer, and for everything else.
_PER_CONSUMER: Final = 12
_ELSE: Final = 60

#: How many attempts to connect there may be in a minute, and how far back it is counted.
_MOST_ATTEMPTS: Final = 120

_TICKING: Final = ("ticks", "candles")


def decided(world: World) -> Iterator[str]:
    """G03: every request has ended, and has said how."""
    for request in world.requests.values():
        yield f"{request} has not ended"
    for request in (*world.orders.values(), *world.sales):
        if request.over and request.report is None:
            yield f"{request} has ended without a report"


def consumers_over(world: World) -> Iterator[str]:
    """G02: no consumer waits any more."""
    for consumer in world.consumers.values():
        if not consumer.over:
            yield f"{consumer} still waits"


def nothing_pending(world: World) -> Iterator[str]:
    """G02: the client is closed, and nothing waits in it."""
    status = world.client.status
    if status.state is not State.CLOSED:
        yield f"the client is {status.state}"
    if status.pending:
        yield f"{status.pending} calls are pending after the end"


def server_alone(world: World) -> Iterator[str]:
    """G02: the server has no connection any more."""
    for connection in world.sim.connections:
        yield f"the server still has {connection}"


def written_once(world: World) -> Iterator[str]:
    """G04: the server has received each request that trades at most once."""
    allowed: Counter[tuple[Any, ...]] = Counter(("sell", sale.contract_id) for sale in world.sales)
    for key, times in world.unsafe.items():
        if times > max(1, allowed[key]):
            yield f"the server received {key} {times} times"


def purchases_true(world: World) -> Iterator[str]:
    """G04: the ledger and what the client reported of each purchase agree."""
    made: defaultdict[Any, set[int]] = defaultdict(set)
    for contract_id, contract in world.ledger.contracts.items():
        made[contract.order.amount].add(contract_id)
    asked: defaultdict[Any, list[Request]] = defaultdict(list)
    for order in world.orders.values():
        asked[order.stake].append(order)
    for stake in made.keys() - asked.keys():
        yield f"the ledger has a contract for {stake}, which nobody asked for"
    doubts = sum(order.unknown is not None for order in world.orders.values())
    for stake, orders in asked.items():
        if text := disagreement(orders, made[stake], others_in_doubt=doubts > 1):
            yield f"{text}: made {sorted(made[stake])}, reported {_shown(orders)}"


def disagreement(
    orders: list[Request], made: set[int], *, others_in_doubt: bool = False
) -> str | None:
    """Return what is wrong with the reports of equal orders, of which *made* were executed.

    With *others_in_doubt*, whose purchases resemble these but for the price, one may be ambiguous.
    """
    told = [order.contract_id for order in orders if order.report == "done"]
    unclear = sum(order.report in OPEN for order in orders)
    if len(told) != len(set(told)) or not made.issuperset(told):
        return "a purchase is reported that was not made, or twice"
    if len(made) - len(told) > unclear:
        return "a purchase was made that is reported as not made"
    if len(orders) == 1 and orders[0].report == "ambiguous" and not others_in_doubt:
        return "a purchase is called ambiguous that has no equal"
    return None


def sales_true(world: World) -> Iterator[str]:
    """G04: the ledger and what the client reported of each sale agree."""
    sales: defaultdict[int, list[Request]] = defaultdict(list)
    for sale in world.sales:
        sales[sale.contract_id].append(sale)
    for contract_id, attempts in sales.items():
        contract = world.ledger.contracts.get(contract_id)
        sold = contract is not None and contract.status == "sold"
        told = sum(each.report == "done" for each in attempts)
        unclear = sum(each.report in OPEN for each in attempts)
        if told > sold or (sold and not told and not unclear):
            yield f"contract {contract_id} is {contract and contract.status}: {_shown(attempts)}"


def _shown(requests: list[Request]) -> str:
    return ", ".join(f"{each} {each.report} {each.contract_id} ({each.how})" for each in requests)


def nothing_passed_over(world: World) -> Iterator[str]:
    """G05: whatever a consumer has not seen is in a gap, or was dropped by its own policy."""
    for consumer in _present(world):
        consumer.judge(world)
    yield from ()


def still_flowing(world: World) -> Iterator[str]:
    """G05, G16: whoever reads a stream of prices has got something in the last seconds."""
    now, epoch = trio.current_time(), int(world.sim.now())
    for consumer in _present(world):
        if consumer.kind not in _TICKING or not _was_open(world, consumer.words[0], epoch):
            continue
        period = _PERIOD + float(world.sim.market.symbols[consumer.words[0]].period)
        length = int(consumer.words[1]) if consumer.words[-1] == "closed" else 0
        if consumer.entered_at > now:
            yield f"{consumer} has not entered"
        elif consumer.is_reading and now - max(consumer.last_at, consumer.entered_at) > (
            period + 2 * length
        ):
            yield f"{consumer} got nothing since {consumer.last_at:.0f}, and it is {now:.0f}"


def _was_open(world: World, symbol: str, epoch: int) -> bool:
    return all(world.sim.market.is_open(symbol, epoch - back) for back in range(0, 400, 20))


def account_up_to_date(world: World) -> Iterator[str]:
    """G05: whoever reads the account's streams knows what the ledger has."""
    for consumer in _present(world):
        record = consumer.record
        if not consumer.is_reading:
            continue
        if consumer.kind == "balance" and balance_of(record) != world.ledger.account.balance:
            yield f"{consumer} has {balance_of(record)}, not {world.ledger.account.balance}"
        if isinstance(record, Transactions) and record.behind:
            yield f"{consumer} is {record.behind} transactions behind"
        if isinstance(record, Contracts):
            contract = world.ledger.contracts.get(record.contract_id)
            if contract is not None and not contract.is_open:
                yield f"{consumer} still waits for the end of {contract.status} contract"


def one_upstream(world: World) -> Iterator[str]:
    """G06: the server has one connection, and on it exactly the streams that are wanted."""
    if len(world.sim.connections) != 1:
        yield f"the server has {world.sim.connections}"
        return
    [connection] = world.sim.connections
    there = Counter(tuple(stream.key)[:3] for stream in connection.streams)
    wanted = {each.key for each in _present(world) if each.key}
    prices = {key for key in there if key[0] in _TICKING}
    # Who does not read may have fallen behind, and has no stream then.
    for key in {each.key for each in _present(world) if each.key and each.is_reading} - prices:
        yield f"the server has no stream {key}"
    for key in prices - wanted:
        yield f"the server has a stream {key} that nobody wants"
    for kind in ("balance", "transaction", "proposal"):
        number = sum(count for key, count in there.items() if key[0] == kind)
        most = len([each for each in _present(world) if each.kind.startswith(kind)])
        if number > most:
            yield f"the server has {number} streams of {kind} for {most} consumers"


def client_works(world: World) -> Iterator[str]:
    """G12: after all cancellations the client is ready, and nothing is left in it."""
    status = world.client.status
    if status.state is not State.READY:
        yield f"the client is {status.state} {SETTLED:.0f} s after the last fault"
    waiting = len(world.requests)
    if status.pending > waiting + len(_present(world)):
        yield f"{status.pending} calls are pending for {waiting} requests"
    if status.subscriptions > len(_present(world)):
        yield f"{status.subscriptions} streams are kept for {len(_present(world))} consumers"


def tables_flat(world: World) -> Iterator[str]:
    """G14: no table of the client has grown beyond what its present users need."""
    most = _ELSE + _PER_CONSUMER * len(_present(world)) + len(world.requests)
    for name, size in inside.table_sizes(world.client).items():
        if size > inside.BOUNDED.get(name, world.tables[name] + most):
            yield f"{name} has {size} entries, and had {world.tables[name]} at first"


def within_limits(world: World) -> Iterator[str]:
    """G08: the server has refused no request for exceeding a limit."""
    if world.sim.refused:
        yield f"the server refused {world.sim.refused}"


def no_hot_loop(world: World) -> Iterator[str]:
    """G11: in no minute there were more than so many attempts to connect."""
    times = world.attempts_at
    for first, last in zip(times, times[_MOST_ATTEMPTS:], strict=False):
        if last - first < 60:
            yield f"{_MOST_ATTEMPTS} attempts in {last - first:.0f} s"
    del times[:-_MOST_ATTEMPTS]


def mute_noticed(world: World) -> Iterator[str]:
    """G16: where a stream was mute for long, a `Stale` event has told of it.

    The stream itself must flow again (`still_flowing`). It is checked once there is the fault.
    """
    if "mute" in inside.fault_grammar() and world.faults["mute"] > 20 and not world.events["Stale"]:
        yield f"{world.faults['mute']} times a stream was mute, and no Stale event told of it"


def poison_isolated(world: World) -> Iterator[str]:
    """G17: a poisoned symbol ends at its consumer, and only there; everybody else goes on."""
    poisoned = {word for step in world.plan.steps if step.name == "poison" for word in step.words}
    if "poison" not in inside.fault_grammar():
        return
    for consumer in world.consumers.values():
        error = consumer.error
        if type(error).__name__ == "StreamFailed" and not poisoned.intersection(consumer.words):
            yield f"{consumer} ended with {error!r}, but nobody poisoned it"


def _present(world: World) -> list[Any]:
    """Return the consumers that have not left, and forget those that have."""
    for number, consumer in list(world.consumers.items()):
        if consumer.over:
            del world.consumers[number]
    return list(world.consumers.values())


#: What holds when no fault has struck for a while.
IN_A_CALM: Final[tuple[Invariant, ...]] = (
    client_works,
    written_once,
    purchases_true,
    sales_true,
    poison_isolated,
    nothing_passed_over,
    still_flowing,
    account_up_to_date,
    one_upstream,
    tables_flat,
    within_limits,
    no_hot_loop,
    mute_noticed,
)

#: What holds when the client is gone.
AT_THE_END: Final[tuple[Invariant, ...]] = (
    nothing_pending,
    decided,
    consumers_over,
    server_alone,
    purchases_true,
    sales_true,
    written_once,
    within_limits,
)


def check(invariants: Iterable[Invariant], world: World) -> None:
    """Check all of *invariants*; the first that does not hold ends the run."""
    world.note("checked", len(world.orders), len(world.consumers), faults.CODES)
    for invariant in invariants:
        for text in invariant(world):
            promise = (invariant.__doc__ or "?").partition(":")[0]
            world.broken(promise, f"{invariant.__name__}: {text}")
            if world.finding is not None:
                return
