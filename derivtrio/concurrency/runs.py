"""Which run of trio this is: a client belongs to one, and cannot do without."""

import trio


def require_trio() -> trio.lowlevel.TrioToken:
    """Return the token of the present `trio.run`; raise a RuntimeError outside of one."""
    try:
        return trio.lowlevel.current_trio_token()
    except RuntimeError:
        text = (
            "derivtrio needs trio to run under, not asyncio: derivtrio.run(main) or trio.run(main)"
        )
        raise RuntimeError(text) from None
