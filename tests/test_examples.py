"""The examples run, against the simulator, and do what they say."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, finished, line, lines_until, served, started

EXAMPLES = Path(__file__).parents[1] / "examples"
TESTED = {
    "first_tick.py",
    "many_symbols.py",
    "rehearse_disaster.py",
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
    assert {path.name for path in EXAMPLES.glob("*.py")} == TESTED


def test_first_tick(server: Served) -> None:
    result = finished(path_of("first_tick.py"), DERIV_URL=server.url)
    assert (result.returncode, result.stderr) == (0, "")
    symbol, quote = result.stdout.split()
    assert symbol == "R_100"
    assert float(quote) > 0


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


def test_unattended(server: Served) -> None:
    with started(path_of("unattended.py"), DERIV_URL=server.url) as process:
        assert process.stderr is not None
        assert "the server's clock says" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
    assert process.returncode == 143
    assert err.endswith("INFO unattended: said goodbye\n")


def test_rehearse_disaster() -> None:
    result = finished(path_of("rehearse_disaster.py"))
    assert result.returncode == 0
    assert result.stdout.startswith("highest: ")
    assert "connections: 3" in result.stdout
    assert "Traceback" not in result.stderr
