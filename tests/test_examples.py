"""The examples run, against the simulator, and do what they say."""

import re
import signal
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from served import Served, finished, line, lines_until, served, started

EXAMPLES = Path(__file__).parents[1] / "examples"
TESTED = {
    "candles.py",
    "first_tick.py",
    "many_symbols.py",
    "options_account.py",
    "redis_workers.py",  # in test_redis_workers
    "rehearse_disaster.py",
    "safe_buy.py",
    "unattended.py",
    "watch_connection.py",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as running:
        yield running


def path_of(name: str) -> str:
    return str(EXAMPLES / name)


def test_every_example_has_a_test() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == TESTED | {"__init__.py"}


def test_first_tick(server: Served) -> None:
    result = finished(path_of("first_tick.py"), DERIV_URL=server.url)
    assert (result.returncode, result.stderr) == (0, "")
    symbol, quote = result.stdout.split()
    assert symbol == "R_100"
    assert float(quote) > 0


def test_candles(server: Served) -> None:
    begun = int(time.time()) - 600
    shown = []
    with started(path_of("candles.py"), DERIV_URL=server.url) as process:
        for _ in range(11):
            at, *prices = line(process).split()
            shown.append((at, [float(price) for price in prices]))
        server.do(server.sim.faults.drop)
        at, *prices = line(process).split()
        shown.append((at, [float(price) for price in prices]))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    first = begun + -begun % 60
    starts = [at for at, _ in shown]
    late = starts[0] != time.strftime("%H:%M", time.localtime(first))
    first += 60 * late  # the minute may have ended between our look at the clock and its own
    for number, (at, prices) in enumerate(shown):
        opened = first + 60 * number
        quotes = [tick.quote for tick in server.sim.market.ticks("R_100", opened, opened + 59)]
        assert at == time.strftime("%H:%M", time.localtime(opened))
        assert prices == [quotes[0], max(quotes), min(quotes), quotes[-1]]


def test_watch_connection(server: Served) -> None:
    with started(path_of("watch_connection.py"), DERIV_URL=server.url) as process:
        assert "Connecting" in lines_until(process, "connection 1 is ready")[0]
        server.do(server.sim.faults.drop)
        lines_until(process, "the connection was ended by: network, code 1006")
        lines_until(process, "trying again in")
        lines_until(process, "connection 2 is ready")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err


def test_many_symbols(server: Served) -> None:
    seen = set()
    with started(path_of("many_symbols.py"), DERIV_URL=server.url) as process:
        while len(seen) < 5:
            symbol, quote = line(process).split()
            assert float(quote) > 0
            seen.add(symbol)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    assert seen == {"R_10", "R_25", "R_50", "R_75", "R_100"}


def test_options_account(server: Served) -> None:
    variables = {
        "DERIV_ACCOUNT": "VRTC1000001",
        "DERIV_TOKEN": "demo-token",
        "DERIV_REST_URL": server.sim.rest_url,
    }
    with started(path_of("options_account.py"), **variables) as process:
        assert line(process) == "VRTC1000001 10000.0 USD"
        server.do(lambda: server.sim.deposit("VRTC1000001", Decimal("2.5")))
        assert line(process) == "VRTC1000001 10002.5 USD"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, "")


def test_unattended(server: Served) -> None:
    with started(path_of("unattended.py"), DERIV_URL=server.url) as process:
        assert process.stderr is not None
        assert "the server's clock says" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
    assert process.returncode == 143
    assert err.endswith("INFO unattended: said goodbye\n")


def test_safe_buy() -> None:
    result = finished(path_of("safe_buy.py"))
    assert result.returncode == 0
    doubt, found, *states = result.stdout.splitlines()
    assert doubt.startswith("in doubt: connection 1 was lost")
    assert found.startswith("bought: transaction ")
    assert states[0].startswith("open: ")
    assert states[-1].split(":")[0] in ("won", "lost")
    assert "Traceback" not in result.stderr


def test_rehearse_disaster() -> None:
    result = finished(path_of("rehearse_disaster.py"))
    assert result.returncode == 0
    assert result.stdout.startswith("highest: ")
    assert re.search(r", after 359[89] s$", result.stdout, re.MULTILINE)
    assert "connections: 3" in result.stdout
    assert "Traceback" not in result.stderr
