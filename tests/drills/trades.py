"""The drill of trading: thousands of purchases, with a fault at every stage, on a virtual clock.

A few traders use one client at the same time. Each buys one contract after another, by a proposal
or by parameters. A lost reply is looked up at once, later, or in the same `await`; some purchases
are cancelled in the middle. Before most purchases a fault is set up: in the connection (before,
during or after the purchase), in the server's answer, or in the lookup.

Most contracts are ordered only once, so the account's ledger shows what became of each order. Some
are ordered twice at the same time, by two traders, with equal parameters. These cannot be told
apart; only for them is `Ambiguous` a correct answer. There are two accounts, and some contracts are
ordered on both.
"""

import argparse
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

import attrs
import trio

from derivtrio import (
    Ambiguous,
    ApiError,
    Backoff,
    Bought,
    Client,
    ConnectionChanged,
    ConnectionLost,
    NotExecuted,
    OutcomeUnknown,
    Purchase,
    ResponseTimeout,
    Settings,
    open_client,
)
from derivtrio.simulator import SCOPES, Account, Faults, Simulator, demo_account, open_simulator
from tests.drills.console import perform

DEMO: Final = "VRTC1000001"
OTHER: Final = "VRTC2000002"

ACCOUNTS: Final = (demo_account(), Account(OTHER, Decimal(0), {"other-token": SCOPES}))

_LOOKUPS: Final = ("statement", "portfolio", "profit_table", "time")
_CODES: Final = ("WrongResponse", "Timeout")
_SYMBOLS: Final = ("R_10", "R_25", "R_50", "R_75", "R_100", "1HZ10V", "1HZ100V")
_TYPES: Final = ("CALL", "PUT", "CALLE", "PUTE")

#: Contracts without a duration: the parameter that they have instead, and its values.
_TIMELESS: Final[Mapping[str, tuple[str, tuple[float, ...]]]] = {
    "MULTUP": ("multiplier", (10, 20, 30, 50, 100)),
    "MULTDOWN": ("multiplier", (10, 20, 30, 50, 100)),
    "ACCU": ("growth_rate", (0.01, 0.02, 0.03, 0.04, 0.05)),
}

#: How many unknown outcomes may wait for a lookup.
_MOST_WAITING: Final = 30

Chance = random.Random
Report = Literal["bought", "refused", "not bought", "not sent", "ambiguous"]


def _between(chance: Chance, faults: Faults) -> None:
    """Break the lookup of a trade in doubt."""
    call = chance.choice(_LOOKUPS)
    chance.choice(
        [
            lambda: faults.lose_before(call),
            lambda: faults.lose_after(call),
            lambda: faults.fail_before(chance.choice(_CODES), call),
            lambda: faults.answer_late(chance.uniform(1, 40), call),
        ]
    )()


def _away(chance: Chance, faults: Faults) -> None:
    faults.refuse(chance.uniform(0, 40))
    faults.drop()


#: The faults to set up before a purchase.
INCIDENTS: Final[Mapping[str, Callable[[Chance, Faults], None]]] = {
    "lost before": lambda _, faults: faults.lose_before("buy"),
    "lost after": lambda _, faults: faults.lose_after("buy"),
    "failed before": lambda chance, faults: faults.fail_before(chance.choice(_CODES), "buy"),
    "failed after": lambda chance, faults: faults.fail_after(chance.choice(_CODES), "buy"),
    "limited": lambda _, faults: faults.fail_before("RateLimit", "buy"),
    "late": lambda chance, faults: faults.answer_late(chance.uniform(0.1, 60), "buy"),
    "dropped": lambda _, faults: faults.drop(),
    "frozen": lambda _, faults: faults.freeze(),
    "closed": lambda _, faults: faults.close(),
    "cut": lambda chance, faults: faults.cut(chance.randint(1, 300)),
    "away": _away,
    "garbage": lambda _, faults: faults.garbage(),
    "while looking": _between,
    "lost proposal": lambda _, faults: faults.lose_after("proposal"),
    "nothing": lambda _, __: None,
}


class Words(NamedTuple):
    """What distinguishes one contract of the drill from another.

    `term` is how many ticks it lasts, or its multiplier, or growth rate.
    """

    loginid: str
    kind: str
    symbol: str
    stake: Decimal
    term: float


@attrs.frozen
class Plan:
    """How many purchases to attempt, by how many traders; *twins* is the share of equal orders."""

    attempts: int = 10_000
    seed: int = 1
    traders: int = 6
    twins: float = 0.05


@attrs.define(eq=False)
class Attempt:
    """A purchase that was wanted, and what the client reported about it in the end."""

    words: Words
    by_proposal: bool
    limit: Decimal
    report: Report | None = None
    contract_id: int | None = None
    unknown: OutcomeUnknown | None = attrs.field(default=None, repr=False)
    how: str = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """The contract, as the API takes it."""
        _, kind, symbol, stake, term = self.words
        timed = {"duration": term, "duration_unit": "t"}
        return {
            "contract_type": kind,
            "symbol": symbol,
            "currency": "USD",
            "basis": "stake",
            "amount": float(stake),
            **({_TIMELESS[kind][0]: term} if kind in _TIMELESS else timed),
        }

    def is_bought(self, purchase: Purchase, how: str = "") -> None:
        """Note that the client reports *purchase*."""
        self.report, self.contract_id, self.how = "bought", purchase.contract_id, how

    def is_not(self, report: Report, how: object) -> None:
        """Note another report of the client."""
        self.report, self.how = report, str(how)


@attrs.define(eq=False)
class Drill:
    """One run of the drill, with its results so far."""

    plan: Plan
    sim: Simulator
    client: Client
    tell: Callable[[str], None]
    chance: Chance = attrs.field(init=False)
    attempts: list[Attempt] = attrs.field(factory=list, init=False)
    suffered: Counter[str] = attrs.field(factory=Counter, init=False)
    waiting: deque[Attempt] = attrs.field(factory=deque, init=False)
    remarks: list[str] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.chance = Chance(self.plan.seed)

    @property
    def passed(self) -> bool:
        """Whether the ledger and the client's reports agree."""
        return not self.remarks

    async def run(self) -> None:
        """Make all attempts, decide those in doubt, and compare."""
        work = iter(self._work())
        async with trio.open_nursery() as nursery:
            for _ in range(self.plan.traders):
                nursery.start_soon(self._trade, work)
        await self._look_up_the_rest()
        self._compare()

    def _work(self) -> Iterator[Attempt]:
        """Yield attempts; each is for another contract, except for a twin now and then."""
        words = self._words()
        while len(self.attempts) < self.plan.attempts:
            twins = 2 if self.chance.random() < self.plan.twins else 1
            asked = next(words)
            for number in range(twins):
                by_proposal = self.chance.random() < 1 / 3
                limit = asked.stake + number
                self.attempts.append(Attempt(asked, by_proposal, limit))
                yield self.attempts[-1]
            if len(self.attempts) % 1000 == 0:
                self.tell(f"{len(self.attempts)} attempts, {sum(self.suffered.values())} faults")

    def _words(self) -> Iterator[Words]:
        for cents in range(100, 10_000):
            kinds = [*self.chance.choices(_TYPES, k=4), self.chance.choice(list(_TIMELESS))]
            for kind, ticks in zip(kinds, self.chance.sample(range(1, 11), 5), strict=True):
                _, terms = _TIMELESS.get(kind, ("", (ticks,)))
                symbol, term = self.chance.choice(_SYMBOLS), self.chance.choice(terms)
                for loginid in self.chance.sample((DEMO, OTHER), self.chance.choice((1, 1, 1, 2))):
                    yield Words(loginid, kind, symbol, Decimal(cents) / 100, term)

    async def _trade(self, work: Iterator[Attempt]) -> None:
        for attempt in work:
            name = self.chance.choice(list(INCIDENTS))
            self.suffered[name] += 1
            INCIDENTS[name](self.chance, self.sim.faults)
            await trio.sleep(self.chance.choice([0, 0, self.chance.uniform(0, 3)]))
            try:
                await self._buy(attempt)
            except OutcomeUnknown as unknown:
                attempt.unknown = unknown
            except NotExecuted as error:
                attempt.is_not("not bought", error)
            except (ApiError, ConnectionChanged) as error:
                attempt.is_not("refused", error)
            except (ConnectionLost, ResponseTimeout) as error:  # of the proposal
                attempt.is_not("not sent", error)
            await self._look_up(attempt)

    async def _look_up(self, attempt: Attempt) -> None:
        """Look an unknown outcome up at once, or let it wait until there are many."""
        if attempt.unknown is not None:
            self.waiting.append(attempt)
            at_once = self.chance.random() < 1 / 2
            if at_once or len(self.waiting) > _MOST_WAITING:
                await self._reconcile(self.waiting.pop() if at_once else self.waiting.popleft())

    async def _buy(self, attempt: Attempt) -> None:
        """Buy, by a proposal or by parameters; sometimes with a deadline."""
        patience = self.chance.choice([1000, 1000, 1000, self.chance.uniform(0, 30)])
        reconcile = self.chance.random() < 1 / 3
        with trio.move_on_after(patience) as scope:
            if attempt.by_proposal:
                contract = {**attempt.parameters, "loginid": attempt.words.loginid}
                async with self.client.proposal(contract) as prices:
                    proposal = await anext(prices)
                    await trio.sleep(self.chance.choice([0, self.chance.uniform(0, 3)]))
                    purchase = await self.client.buy(proposal, attempt.limit, reconcile=reconcile)
            else:
                purchase = await self.client.buy(
                    attempt.parameters,
                    attempt.limit,
                    loginid=attempt.words.loginid,
                    reconcile=reconcile,
                )
            attempt.is_bought(purchase)
        if scope.cancelled_caught:
            self._leave_in_doubt(attempt)

    def _leave_in_doubt(self, attempt: Attempt) -> None:
        """Find the doubt that a cancelled purchase left; if there is none, it was never sent.

        Twins have different price limits. These do not show in a purchase, only in the request.
        """
        for unknown in self.client.doubts:
            wanted = unknown.loginid, unknown.parameters, unknown.request["price"]
            if wanted == (attempt.words.loginid, attempt.parameters, attempt.limit):
                attempt.unknown = unknown
                return
        attempt.is_not("not sent", "cancelled")

    async def _reconcile(self, attempt: Attempt) -> None:
        assert attempt.unknown is not None
        try:
            outcome = await self.client.reconcile(attempt.unknown)
        except ConnectionLost:  # a question has seen six connections end; nothing is decided
            await self._reconcile(attempt)
            return
        if isinstance(outcome, Bought):
            attempt.is_bought(outcome.purchase, outcome.how)
        else:
            report: Report = "ambiguous" if isinstance(outcome, Ambiguous) else "not bought"
            attempt.is_not(report, outcome.how)

    async def _look_up_the_rest(self) -> None:
        """Look up what was not looked up yet, and again what was ambiguous."""
        for attempt in self.attempts:
            if attempt.report in (None, "ambiguous"):
                await self._reconcile(attempt)
        if self.client.doubts:
            unclear = sum(attempt.report == "ambiguous" for attempt in self.attempts)
            if len(self.client.doubts) != unclear:
                self.remarks.append("the client has doubts about trades that are decided")

    def _compare(self) -> None:
        made: defaultdict[Words, set[int]] = defaultdict(set)
        for loginid in (DEMO, OTHER):
            for contract_id, contract in self.sim.ledger(loginid).contracts.items():
                order = contract.order
                term = float(order.duration or order.multiplier or order.growth_rate or 0)
                symbol = order.symbol.name
                made[Words(loginid, order.contract_type, symbol, order.amount, term)].add(
                    contract_id
                )
        asked: defaultdict[Words, list[Attempt]] = defaultdict(list)
        for attempt in self.attempts:
            asked[attempt.words].append(attempt)
        if sum(map(len, made.values())) > len(self.attempts) or made.keys() - asked.keys():
            self.remarks.append("the ledger has contracts that were not ordered")
        for words, attempts in asked.items():
            self.judge(attempts, made[words])

    def judge(self, attempts: list[Attempt], made: set[int]) -> None:
        """Compare the reports about one contract with the contracts that were *made*."""
        if not agrees(attempts, made):
            self.remarks.append(f"made: {sorted(made)}; reported: {attempts}")


def agrees(attempts: list[Attempt], made: set[int]) -> bool:
    """Return whether the reports about equal attempts are true, and as clear as possible.

    *made* has the ids of the contracts that were made. Equal attempts may be ambiguous only if some
    of them, and not all, were executed.
    """
    reported = [attempt.contract_id for attempt in attempts if attempt.report == "bought"]
    unclear = sum(attempt.report == "ambiguous" for attempt in attempts)
    if unclear:
        return unclear == len(attempts) and 0 < len(made) < unclear
    return len(reported) == len(set(reported)) and made == set(reported)


async def run(plan: Plan, tell: Callable[[str], None] = lambda _: None) -> Drill:
    """Run the drill, under a `MockClock`; *tell* is called with a line now and then."""
    random.seed(plan.seed)  # the client's backoff draws from there
    settings = Settings(
        heartbeat_interval=10,
        heartbeat_timeout=5,
        response_timeout=20,
        backoff=Backoff(first=0.2, cap=5),
    )
    async with (
        open_simulator(plan.seed, port=None, start=1_749_800_000, accounts=ACCOUNTS) as sim,
        open_client(
            endpoint=sim.endpoint, token=["demo-token", "other-token"], settings=settings
        ) as client,
    ):
        for loginid in sim.accounts:
            sim.deposit(loginid, Decimal(100) * plan.attempts)
        drill = Drill(plan, sim, client, tell)
        await drill.run()
    return drill


def summary(drill: Drill) -> str:
    """Return the results, on one screen."""
    reports = Counter(str(attempt.report) for attempt in drill.attempts)
    cleared = sum(attempt.unknown is not None for attempt in drill.attempts)
    return "\n".join(
        [
            f"{len(drill.attempts)} attempts, seed {drill.plan.seed}; before each of them:",
            "  " + ", ".join(f"{count} {name}" for name, count in drill.suffered.most_common()),
            f"{drill.sim.accepted} connections; {cleared} outcomes were unknown at first",
            "  " + ", ".join(f"{count} {name}" for name, count in reports.most_common()),
            *drill.remarks[:10],
            "PASSED" if drill.passed else "FAILED",
        ]
    )


def main() -> None:
    """Run the drill from the command line; exit with 1 if ledger and reports do not agree."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.trades", description=__doc__)
    parser.add_argument("--attempts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    perform(run, Plan(given.attempts, given.seed), summary)


if __name__ == "__main__":
    main()
