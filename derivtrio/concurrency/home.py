"""Which run of trio a task belongs to.

What waits in one run cannot be woken from another one, from another thread's, or from asyncio's
tasks. Whoever tried would wait for ever, or break trio. So whatever waits asks here first.
"""

import trio
from sniffio import thread_local as _library


def run_of_this_task() -> trio.lowlevel.TrioToken | None:
    """Return the run of trio whose task this code is; None if it is not a task of trio's.

    The host of a guest run is none, though trio runs in its thread. Nor are asyncio's tasks under
    trio-asyncio, though they run inside a task of trio's: if one of them waited, that task would
    be woken in its place, and trio would break.
    """
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return None
    return None if _library.name == "asyncio" else trio.lowlevel.current_trio_token()


def require_trio() -> trio.lowlevel.TrioToken:
    """Return the token of the present `trio.run`; raise a RuntimeError outside of its tasks."""
    run = run_of_this_task()
    if run is None:
        text = (
            "derivtrio needs trio to run under, not asyncio: derivtrio.run(main) or trio.run(main)"
        )
        raise RuntimeError(text)
    return run


def require_home(home: trio.lowlevel.TrioToken) -> None:
    """Raise a RuntimeError if this is no task of *home*, the `trio.run` of a client.

    Otherwise what is not a task of that run would wait here. The client's task that wakes it would
    fail, and what was asked for would be done all the same.
    """
    run = run_of_this_task()
    if run is home:
        return
    if run is None:
        text = (
            "a client needs trio's tasks to ask it: from another thread use"
            " trio.from_thread.run, from asyncio's tasks under trio-asyncio trio_as_aio"
        )
    else:
        text = "this client belongs to another trio.run; from a thread use trio.from_thread.run"
    raise RuntimeError(text)
