"""The command line, as a person and as a shell see it."""

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
import trio
import trio.testing
import trustme
from click.testing import CliRunner, Result
from served import Served, finished, line, served, started

import derivtrio
from derivtrio import Tick
from derivtrio.cli import commands as cli
from derivtrio.cli import output as report
from derivtrio.cli import target as command
from derivtrio.cli.demo import Pace, demonstrate, show
from derivtrio.cli.outages import Happening, Phase, faults_in, fetched, summary, survived
from derivtrio.simulator import Market, demo_account, open_simulator

COMMANDS = ("demo", "ping", "call", "ticks", "simulate")
DEMO = demo_account().loginid


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DERIV_URL", "DERIV_APP_ID", "DERIV_TOKEN", "DERIV_ACCOUNT", "DERIV_REST_URL"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str, **more: Any) -> Result:
    result = CliRunner().invoke(cli.cli, list(arguments), **more)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def only_line(text: str) -> str:
    assert text.count("\n") == 1, text
    return text.rstrip("\n")


@pytest.fixture
def nobody() -> Iterator[str]:
    """Return the URL of a port that is taken, and where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{sock.getsockname()[1]}"


# Help and usage


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"derivtrio {name}" in result.output.replace("cli", "derivtrio", 1)


def test_help_lists_every_command() -> None:
    assert set(COMMANDS) <= set(run("--help").output.split())


@pytest.mark.parametrize("name", ["ping", "call", "ticks"])
def test_what_connects_says_where(name: str) -> None:
    text = run(name, "--help").output
    for word in ("url", "app-id", "token", "account", "rest-url"):
        assert f"--{word}" in text
        assert f"DERIV_{word.upper().replace('-', '_')}" in text
    assert "--verbose" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["ping", "--url", "http://example.com"],
        ["ping", "--url", ""],
        ["ping", "--app-id", "no id"],
        ["ping", "--token", ""],
        ["ping", "--account", "DOT90004580"],
        ["ping", "--account", "no id", "--token", "demo-token"],
        ["ping", "--account", "DOT90004580", "--token", "a b"],
        ["ping", "--account", "DOT90004580", "--token", "x", "--rest-url", "ws://127.0.0.1"],
        ["ping", "--count", "0"],
        ["ping", "--interval", "nan", "--url", "ws://127.0.0.1:9"],
        ["call"],
        ["call", "{"],
        ["call", "[1]"],
        ["call", '"ping"'],
        ["ticks"],
        ["ticks", "R_100", "--count", "0"],
        ["ticks", "R_100", "--start", "0"],
        ["ticks", "R_100", "--start", "yesterday"],
        ["ticks", "R_100", "--start", "1700000000000"],
        ["simulate", "--port", "65536"],
        ["simulate", "--fault", "drop"],
        ["simulate", "--fault", "nothing@1"],
        ["simulate", "--tls-key", __file__],
        ["simulate", "--tls-cert", "/no/such/file"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense_is_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Usage: ")
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_the_version() -> None:
    assert run("--version").output.split()[1][0].isdigit()


def test_without_the_extra_one_line_says_how_to_get_it() -> None:
    code = "import sys; sys.modules['click'] = None; from derivtrio.__main__ import main; main()"
    result = finished("-c", code)
    assert result.returncode == 1
    text = only_line(result.stderr)
    assert text == (
        "The derivtrio command needs click, which the extra `cli` brings:"
        " pip install '.[cli]' in a clone of derivtrio"
    )


def test_importing_derivtrio_imports_nothing_of_the_command_line() -> None:
    code = "import sys, derivtrio; print(*sys.modules)"
    modules = finished("-c", code).stdout.split()
    assert "derivtrio.client" in modules
    assert not {"click", "rich", "derivtrio.simulator", "derivtrio.cli"} & set(modules)


# ping and call


def test_ping_measures_round_trips(server: Served) -> None:
    result = run("ping", "--url", server.url, "--count", "3", "--interval", "0")
    assert (result.exit_code, result.stderr) == (0, "")
    *pings, whole = result.stdout.splitlines()
    assert [text.split(":")[0] for text in pings] == ["ping 1", "ping 2", "ping 3"]
    times = [float(text.split()[2]) for text in pings]
    assert whole.startswith(f"round trip: min {min(times):.1f}, mean ")
    assert whole.endswith(f"max {max(times):.1f} ms")


def test_call_prints_one_line_of_json_when_piped(server: Served) -> None:
    result = run("call", '{"time": 1}', "--url", server.url)
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(only_line(result.stdout))["msg_type"] == "time"


def test_call_prints_more_readable_json_on_a_terminal(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "to_terminal", lambda: True)
    result = run("call", '{"website_status": 1}', "--url", server.url)
    assert result.stdout.count("\n") > 10
    assert json.loads(result.stdout)["website_status"]["site_status"] == "up"


def test_call_reads_standard_input(server: Served) -> None:
    result = run("call", "-", "--url", server.url, input='{"ping": 1}\n')
    assert json.loads(result.stdout)["ping"] == "pong"


def test_the_url_may_stand_in_the_environment(server: Served) -> None:
    assert run("call", '{"ping": 1}', env={"DERIV_URL": server.url}).exit_code == 0


def test_an_api_error_is_one_line_and_1(server: Served) -> None:
    result = run("call", '{"ticks_history": "NO_SUCH", "end": "latest"}', "--url", server.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert only_line(result.stderr).startswith("Error: InvalidSymbol: ")


def test_a_request_that_the_client_refuses_is_one_line_and_1(server: Served) -> None:
    result = run("call", "{}", "--url", server.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert only_line(result.stderr).startswith("Error: InvalidRequest: ")


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_token_authorizes(server: Served, how: str) -> None:
    arguments = ["--token", "demo-token"] if how == "option" else []
    variables = {"DERIV_TOKEN": "demo-token"} if how == "variable" else {}
    result = run("call", '{"balance": 1}', "--url", server.url, *arguments, env=variables)
    assert json.loads(result.stdout)["balance"]["currency"] == "USD"


def test_g13_a_refused_token_is_not_shown(server: Served) -> None:
    result = run("ping", "-v", "--url", server.url, env={"DERIV_TOKEN": "not-a-good-token"})
    assert (result.exit_code, result.stdout) == (1, "")
    assert "InvalidToken" in result.stderr.splitlines()[-1]
    assert "not-a-good-token" not in result.stderr


def test_verbose_says_what_happens(server: Served) -> None:
    result = run("call", '{"ping": 1}', "--url", server.url, "-v")
    assert [text.split("(")[0] for text in result.stderr.splitlines()] == [
        *("Connecting", "Opened", "Ready", "Closed")
    ]


@pytest.mark.parametrize(
    "arguments", [["ping"], ["call", '{"time": 1}'], ["ticks", "A", "--count=1"]]
)
def test_no_server_is_told_at_every_attempt_and_ends_in_1(
    nobody: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derivtrio.policy.backoff.delays", lambda _backoff: repeat(0.0))
    result = run(*arguments, "--url", nobody)
    assert (result.exit_code, result.stdout) == (1, "")
    first, second, last = result.stderr.splitlines()
    assert "trying again" in first
    assert "trying again" in second
    assert last.startswith("Error: gave up after 3 attempts: no connection to 127.0.0.1")


@pytest.mark.parametrize(
    ("url", "hinted"), [(None, True), ("ws://127.0.0.1:1", False)], ids=["default", "given"]
)
def test_without_a_url_a_failure_hints_at_the_living_api(url: str | None, *, hinted: bool) -> None:
    target = command.target_for(url, "1089", None)
    with pytest.raises(click.ClickException) as caught:
        command.end_with(derivtrio.HandshakeRejected(520), target)
    assert ("/trading/v1/options/ws/public" in caught.value.message) is hinted


def test_what_a_server_says_cannot_move_the_cursor() -> None:
    assert report.one_line("HTTP 520: <html>\n\x1b[2J\x1b]0;evil\x07  body") == (
        "HTTP 520: <html> [2J ]0;evil body"
    )


# ticks


def test_ticks_prints_json_lines_when_piped(server: Served) -> None:
    result = run("ticks", "R_100", "1HZ100V", "R_100", "--count", "6", "--url", server.url)
    assert (result.exit_code, result.stderr) == (0, "")
    ticks = [json.loads(text) for text in result.stdout.splitlines()]
    assert len(ticks) == 6
    assert {tick["symbol"] for tick in ticks} == {"R_100", "1HZ100V"}
    for tick in ticks:
        known = server.sim.market.tick(tick["symbol"], tick["epoch"])
        assert (tick["quote"], tick["ask"], tick["bid"]) == (known.quote, known.ask, known.bid)


def test_ticks_prints_times_and_all_decimals_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "to_terminal", lambda: True)
    report.show_tick(Tick("R_50", 1_700_000_000, 190.5, pip_size=4))
    report.show_tick(Tick("R_50", 1_700_000_001, 190.5))
    assert capsys.readouterr().out.splitlines() == [
        "2023-11-14 22:13:20  R_50        190.5000",
        "2023-11-14 22:13:21  R_50        190.5",
    ]


def test_an_unknown_symbol_ends_ticks_with_1(server: Served) -> None:
    result = run("ticks", "R_100", "NO_SUCH", "--url", server.url)
    assert result.exit_code == 1
    assert "InvalidSymbol" in only_line(result.stderr)


async def printed(
    capsys: pytest.CaptureFixture[str], client: derivtrio.Client, count: int, start: int | None
) -> tuple[list[dict[str, Any]], str]:
    """Return the ticks that `derivtrio ticks` prints, and what it says besides."""
    with trio.CancelScope() as scope:
        await cli.follow_one(client.ticks("1HZ100V", start=start), cli.Tally(count), scope)
    out, err = capsys.readouterr()
    return [json.loads(text) for text in out.splitlines()], err


@pytest.mark.parametrize("faults", [["drop@5.5"], ["refuse:10@5.5", "drop@5.5"]], ids=len)
async def test_ticks_prints_every_tick_of_an_outage_once(
    autojump_clock: Any, capsys: pytest.CaptureFixture[str], faults: list[str]
) -> None:
    async with (
        open_simulator(port=None, start=1_700_000_000, faults=faults) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        ticks, err = await printed(capsys, client, 30, None)
        assert client.status.connection == 2
    assert [tick["epoch"] for tick in ticks] == list(range(1_700_000_000, 1_700_000_030))
    known = [sim.market.tick("1HZ100V", tick["epoch"]) for tick in ticks]
    assert [tick["quote"] for tick in ticks] == [tick.quote for tick in known]
    assert err == ""
    for tick in ticks:
        assert list(tick) == ["symbol", "epoch", "quote", "ask", "bid", "pip_size"]
        assert (tick["ask"] is None) == (tick["bid"] is None)
    assert any(tick["ask"] is None for tick in ticks) == (len(faults) > 1)


async def test_ticks_begins_at_start_and_says_what_the_server_no_longer_has(
    autojump_clock: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1_700_000_000
    async with (
        open_simulator(port=None, start=now) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        ticks, err = await printed(capsys, client, 30, now - 20)
        assert [tick["epoch"] for tick in ticks] == list(range(now - 20, now + 10))
        assert err == ""
        ticks, err = await printed(capsys, client, 1, now - 400 * 86400)
    until = report.moment(ticks[0]["epoch"])
    assert only_line(err) == (
        f"1HZ100V: nothing between 2022-10-10 22:13:19 and {until} (no longer kept)"
    )


def test_ticks_from_the_past_as_a_program(server: Served) -> None:
    ago = int(time.time()) - 3600  # the simulated clock is ahead of it
    arguments = ["R_100", "--start", str(ago), "--count", "5", "--url", server.url]
    result = run("ticks", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    ticks = [json.loads(text) for text in result.stdout.splitlines()]
    known = server.sim.market.ticks("R_100", ago, ago + 60)[:5]
    assert [(t["epoch"], t["quote"]) for t in ticks] == [(t.epoch, t.quote) for t in known]


# Signals and pipes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_ticks_quietly(server: Served, number: signal.Signals) -> None:
    with started("-m", "derivtrio", "ticks", "1HZ100V", "--url", server.url) as process:
        assert json.loads(line(process))["symbol"] == "1HZ100V"
        process.send_signal(number)
        _, err = process.communicate()
    assert (process.returncode, err) == (128 + number, "")


def test_a_reader_that_goes_away_ends_ticks_quietly(server: Served) -> None:
    with started("-m", "derivtrio", "ticks", "1HZ100V", "--url", server.url) as process:
        line(process)
        assert process.stdout is not None
        process.stdout.close()
        process.wait()
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (141, "")


def test_a_reader_that_goes_away_ends_demo_quietly() -> None:
    with started("-m", "derivtrio", "demo") as process:
        line(process)
        assert process.stdout is not None
        process.stdout.close()
        process.wait()
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (141, "")


@pytest.mark.parametrize("arguments", [["call", '{"time": 1}'], ["ticks", "R_100", "--count", "1"]])
def test_without_a_standard_output_nothing_is_printed(server: Served, arguments: list[str]) -> None:
    code = "import sys; sys.stdout = None; from derivtrio.__main__ import main; main()"
    result = finished("-c", code, *arguments, "--url", server.url)
    assert (result.returncode, result.stderr) == (0, "")


def test_without_a_standard_input_call_cannot_read_it() -> None:
    code = "import sys; sys.stdin = None; from derivtrio.__main__ import main; main()"
    result = finished("-c", code, "call", "-")
    assert result.returncode == 2
    assert "no standard input" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_full_disk_is_one_line_and_1(server: Served) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    code = (
        "import sys; sys.stdout = open('/dev/full', 'w');"
        "from derivtrio.__main__ import main; main()"
    )
    result = finished("-c", code, "call", '{"time": 1}', "--url", server.url)
    assert result.returncode == 1
    assert "No space left" in only_line(result.stderr)


# simulate


def test_simulate_serves_until_a_signal_and_its_first_line_is_the_url() -> None:
    with started("-m", "derivtrio", "simulate", "--port", "0", "--seed", "3") as process:
        url = line(process)
        assert url.startswith("ws://127.0.0.1:")
        assert run("call", '{"ping": 1}', "--url", url).exit_code == 0
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert (process.returncode, out) == (143, "")
    assert f"demo-token, for the account {DEMO};" in only_line(err)


def test_simulate_says_in_one_line_that_its_port_is_taken(nobody: str) -> None:
    port = nobody.rpartition(":")[2]
    result = run("simulate", "--port", port)
    assert (result.exit_code, result.stdout) == (1, "")
    assert only_line(result.stderr).startswith(f"Error: cannot serve at 127.0.0.1 port {port}: ")


def test_simulate_with_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    files = [f"--tls-cert={tmp_path / 'cert.pem'}", f"--tls-key={tmp_path / 'key.pem'}"]
    with started("-m", "derivtrio", "simulate", "--port", "0", *files) as process:
        url = line(process)
        assert url.startswith("wss://127.0.0.1:")
        call = ["-m", "derivtrio", "call", '{"ping": 1}', "--url", url]
        trusted = finished(*call, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        refused = finished(*call)
    assert (trusted.returncode, trusted.stderr) == (0, "")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "certificate" in only_line(refused.stderr)


def test_simulate_says_in_one_line_that_a_file_is_no_certificate() -> None:
    result = run("simulate", "--port", "0", "--tls-cert", __file__)
    assert (result.exit_code, result.stdout) == (1, "")
    assert only_line(result.stderr).startswith("Error: ")


# demo


@pytest.mark.parametrize(("seamless", "status"), [(True, 0), (False, 1)])
def test_the_status_of_demo_says_whether_the_record_is_without_a_seam(
    monkeypatch: pytest.MonkeyPatch, *, seamless: bool, status: int
) -> None:
    async def pretended(_pace: Pace) -> bool:
        await trio.lowlevel.checkpoint()
        return seamless

    monkeypatch.setattr(cli, "show", pretended)
    assert run("demo").exit_code == status


async def play(pace: Pace) -> tuple[list[Happening], list[str], bool]:
    told: list[Happening] = []
    async with open_simulator(port=None, start=1_700_000_000) as sim:
        done = await demonstrate(sim, sim.endpoint, pace, lambda _at, what: told.append(what))
        lines = summary(done, pace.ticks, sim.market)
    return told, lines, survived(done, pace.ticks, sim.market)


def outage_in(line: str) -> float:
    (length,) = re.findall(r"outage of (\d+\.\d) s", line)
    return float(length)


async def test_the_demo_tells_what_happened(autojump_clock: Any) -> None:
    begun = trio.current_time()
    told, lines, seamless = await play(Pace())
    assert trio.current_time() - begun < 30
    assert seamless
    ticks = [what for what in told if isinstance(what, Tick)]
    epochs = [tick.epoch for tick in ticks]
    assert epochs == list(range(1_700_000_000, epochs[-1] + 1))
    assert [what.by for what in told if isinstance(what, derivtrio.Closed)] == [
        *("network", "heartbeat")
    ]
    _, before, drop, network, between, freeze, heartbeat, after, _, *verdict = lines
    assert before == "  before   6 live ticks on connection 1"
    assert ": noticed after 0.0 s, " in drop
    assert 2.5 <= outage_in(drop) <= 3.5
    assert network.endswith("noticed by: network (the connection ended without a Close)")
    assert between == "  between  6 live ticks on connection 2"
    assert ": noticed after 2.0 s, 1 attempt, " in freeze
    assert 2.0 <= outage_in(freeze) <= 2.5
    assert "noticed by: heartbeat (nothing came for 2 s" in heartbeat
    assert after == "  after    6 live ticks on connection 3"
    counts = [int(n) for n in re.findall(r"(\d+) ticks? fetched afterwards", drop + freeze)]
    assert min(counts) >= 1
    assert sum(counts) == len([tick for tick in ticks if fetched(tick)]) == len(ticks) - 18
    last = report.clock(epochs[-1])
    assert verdict == [
        f"Record: {len(ticks)} ticks, from 22:13:20 to {last} UTC; from first to last",
        "it equals the simulator's market function, tick for tick.",
        "The program subscribed once; no tick is missing, none came twice.",
    ]


async def test_a_demo_with_a_seam_in_its_record_says_so(autojump_clock: Any) -> None:
    async with open_simulator(port=None, start=1_700_000_000) as sim:
        pace = Pace()
        done = await demonstrate(sim, sim.endpoint, pace, lambda *_: None)
        assert survived(done, pace.ticks, sim.market)
        (lost,) = [tick for tick in done[1].ticks if fetched(tick)][:1]
        done[1].ticks.remove(lost)
        assert not survived(done, pace.ticks, sim.market)
        *_, difference, verdict = summary(done, pace.ticks, sim.market)
    assert difference.startswith("it differs from ")
    assert difference.endswith(": 1 missing.")
    assert verdict.endswith("the demo has failed.")


def test_a_record_is_held_against_the_market() -> None:
    market = Market(1)
    record = [
        Tick(tick.symbol, tick.epoch, tick.quote)
        for tick in market.ticks("1HZ100V", 1_700_000_000, 1_700_000_009)
    ]
    wrong = msgspec.structs.replace(record[5], quote=0.5)
    assert faults_in([], market) == faults_in(record, market) == []
    assert faults_in([*record[:5], *record[6:]], market) == ["1 missing"]
    assert faults_in([*record[:5], wrong, *record[6:]], market) == ["1 missing", "1 wrong"]
    for disorder in ([*record, record[-1]], [record[0], record[2], record[1], *record[3:]]):
        assert faults_in(disorder, market) == ["out of order, or more than once"]
    assert not survived([Phase(ticks=record)] * 2, 0, market)


async def test_a_demo_whose_ticks_do_not_come_back_says_so(autojump_clock: Any) -> None:
    _, lines, seamless = await play(Pace(away=1000, patience=30))
    assert not seamless
    text = "\n".join(lines)
    assert "outage of no end seen: noticed after 0.0 s" in text
    assert "between  0 live ticks" in text
    assert "  freeze" not in text
    assert lines[-1].endswith("the demo has failed.")


async def test_a_demo_without_any_ticks_says_so(autojump_clock: Any) -> None:
    told: list[Happening] = []
    async with open_simulator(port=None) as sim:
        sim.faults.refuse()
        pace = Pace(patience=10)
        done = await demonstrate(sim, sim.endpoint, pace, lambda _at, what: told.append(what))
        assert not survived(done, pace.ticks, sim.market)
        assert "  before   0 live ticks" in summary(done, pace.ticks, sim.market)


def test_the_demo_over_tcp_is_plain_text_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    pace = Pace(ticks=2, heartbeat=10, patience=1e6)
    assert trio.run(show, pace, clock=trio.testing.MockClock(rate=50))
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    for words in (
        "server  drops",
        "by network",
        "server  freezes",
        "by heartbeat",
        "fetched",
        "Summary",
    ):
        assert words in out


def test_an_account_of_the_options_api(server: Served) -> None:
    where = {"DERIV_REST_URL": server.sim.rest_url, "DERIV_ACCOUNT": DEMO}
    result = run("call", '{"balance": 1}', env={**where, "DERIV_TOKEN": "demo-token"})
    assert result.exit_code == 0
    assert json.loads(result.stdout)["balance"]["loginid"] == DEMO
    result = run("call", '{"balance": 1}', env={**where, "DERIV_TOKEN": "s3cr3t"})
    assert result.exit_code == 1
    assert "HTTP 401" in only_line(result.stderr)
    assert "s3cr3t" not in result.output


def test_a_token_for_the_options_api_is_refused_as_a_usage_error() -> None:
    url = "ws://127.0.0.1:9/trading/v1/options/ws/public"
    result = run("ping", "--url", url, "--token", "s3cr3t")
    assert result.exit_code == 2
    assert "the Options API takes no token on its WebSocket" in result.stderr
    assert "s3cr3t" not in result.output
