"""Rate limits that several clients keep together. No I/O."""

from collections.abc import Callable

import attrs

from derivtrio.policy.rate_limits import Budgets, budgets_for


@attrs.define(eq=False)
class Pacer:
    """Keeps the clients that it is given to within one server's limits, together.

    Deriv may count the requests of all connections of an account or application together. Clients
    of one process that are opened with the same `pacer` share one set of budgets. Without one,
    every client has its own.

    It serves the clients of one `trio.run` at a time. What was counted in one counts in the next.

    Attributes:
        run: the `trio.run` of its clients.

    """

    run: object = attrs.field(default=None, init=False)
    _clock: Callable[[], float] | None = attrs.field(default=None, init=False)
    _budgets: dict[str, Budgets] = attrs.field(factory=dict, init=False)

    def keep_time_by(self, clock: Callable[[], float]) -> None:
        """Go on with *clock*: each `trio.run` has its own, and each begins anywhere."""
        if self._clock is not None:
            ahead = clock() - self._clock()
            for budgets in self._budgets.values():
                for group in budgets.groups:
                    group.shift(ahead)
        self._clock = clock

    def budgets(self, generation: str, *, advertised: bool) -> Budgets:
        """Return the budgets for *generation*; always the same ones."""
        if generation not in self._budgets:
            self._budgets[generation] = budgets_for(generation, advertised=advertised)
        return self._budgets[generation]

    def __repr__(self) -> str:
        return f"<derivtrio.Pacer of {', '.join(self._budgets) or 'no client yet'}>"
