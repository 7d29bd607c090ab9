"""Where commands connect, and how they end."""

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path

import click
import pytest
import trio
from served import Served, finished, line, started
from shell import DEMO, only_line, run
from small_proxies import SmallProxy, open_proxy

import derivtrio
from derivtrio.cli.commands import cli
from derivtrio.cli.ending import end_with
from derivtrio.cli.output import note
from derivtrio.cli.target import target_for
from derivtrio.recording.sqlite import SqliteStore


def test_the_url_may_stand_in_the_environment(server: Served) -> None:
    assert run("call", '{"ping": 1}', env={"DERIV_URL": server.url}).exit_code == 0


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


def test_an_account_of_the_options_api(server: Served) -> None:
    where = {"DERIV_REST_URL": server.sim.rest_url, "DERIV_ACCOUNT": DEMO}
    result = run("call", '{"balance": 1}', env={**where, "DERIV_TOKEN": "demo-token"})
    assert result.exit_code == 0
    assert json.loads(result.stdout)["balance"]["loginid"] == DEMO
    result = run("call", '{"balance": 1}', env={**where, "DERIV_TOKEN": "s3cr3t"})
    assert result.exit_code == 1
    assert "HTTP 401" in only_line(result.stderr)
    assert "s3cr3t" not in result.output


@contextmanager
def proxying(proxy: SmallProxy) -> Iterator[SmallProxy]:
    """Serve *proxy* in a thread beside the block."""
    begun, scope = threading.Event(), trio.CancelScope()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def serve() -> None:
        with scope:
            async with open_proxy(proxy):
                tokens.append(trio.lowlevel.current_trio_token())
                begun.set()
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert begun.wait(20)
    try:
        yield proxy
    finally:
        trio.from_thread.run_sync(scope.cancel, trio_token=tokens[0])
        thread.join()


@pytest.mark.parametrize("command", [["call", '{"ping": 1}'], ["ticks", "R_100", "--count", "1"]])
@pytest.mark.parametrize("how", ["option", "variable", "environment"])
def test_a_proxy_is_gone_through(server: Served, how: str, command: list[str]) -> None:
    pytest.importorskip("python_socks")
    with proxying(SmallProxy("http", "u:secret-word")) as proxy:
        url = proxy.url("u:secret-word")
        arguments = {"option": ["--proxy", url], "environment": ["--proxy", "environment"]}
        result = run(
            *(*command, "--url", server.url, *arguments.get(how, [])),
            env={"variable": {"DERIV_PROXY": url}, "environment": {"HTTP_PROXY": url}}.get(how),
        )
        assert result.exit_code == 0, result.output
        assert proxy.asked == [("127.0.0.1", int(server.url.split(":")[2].split("/")[0]))]


def test_g13_a_proxy_that_refuses_is_one_line_without_the_password(server: Served) -> None:
    pytest.importorskip("python_socks")
    with proxying(SmallProxy("http", "u:secret-word")) as proxy:
        wrong = proxy.url("somebody:wrong-word")
        for log_format in ("text", "json"):
            more = ("--url", server.url, "-v", "--log-format", log_format)
            result = run("ping", *more, env={"DERIV_PROXY": wrong})
            assert result.exit_code == 1
            assert "407" in result.stderr.splitlines()[-1]
            assert not {"wrong-word", "somebody", "secret-word"} & set(
                re.findall(r"[\w-]+", result.output + result.stderr)
            )


@pytest.mark.parametrize(
    "proxy", ["secret-word", "ftp://u:secret-word@there", "http://u:secret-word@there:99999"]
)
def test_g13_what_is_no_proxy_is_a_usage_error_that_does_not_show_it(proxy: str) -> None:
    result = run("ping", "--proxy", proxy)
    assert result.exit_code == 2
    assert "Invalid value for '--proxy'" in result.stderr
    assert "secret-word" not in result.stderr


def test_a_token_for_the_options_api_is_refused_as_a_usage_error() -> None:
    url = "ws://127.0.0.1:9/trading/v1/options/ws/public"
    result = run("ping", "--url", url, "--token", "s3cr3t")
    assert result.exit_code == 2
    assert "the Options API takes no token on its WebSocket" in result.stderr
    assert "s3cr3t" not in result.output


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
    where = target_for(url, "1089", None)
    with pytest.raises(click.ClickException) as caught:
        end_with(derivtrio.HandshakeRejected(520), where)
    assert ("/trading/v1/options/ws/public" in caught.value.message) is hinted


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


#: What prints its results, and what prints a help or the version.
PRINTING = (
    *(["call", '{"time": 1}'], ["ping", "--count=1"], ["ticks", "R_100", "--count=1"]),
    *(["simulate", "--port=0"], ["demo"]),
    *(["--help"], ["--version"], ["record", "--help"]),
)


def connecting(server: Served, arguments: list[str]) -> list[str]:
    connects = arguments[0] in ("call", "ping", "ticks")
    return [*arguments, "--url", server.url] if connects else arguments


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_without_a_standard_output_one_line_says_so_and_nothing_is_done(
    server: Served,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = server.sim.connections + server.sim.history
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(SystemExit) as ended:
        cli(connecting(server, arguments), "derivtrio")
    assert ended.value.code == 1
    assert only_line(capsys.readouterr().err) == "Error: standard output is closed"
    assert server.sim.connections + server.sim.history == made


@contextmanager
def full_output(name: str = "stdout") -> Iterator[None]:
    """Have a standard stream of this name go where there is no room."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with (
        suppress(OSError),  # what was not written is written once more at the end
        Path("/dev/full").open("w", encoding="utf-8") as file,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, name, file)
        yield


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_full_disk_is_one_line_and_1(
    server: Served, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with full_output(), pytest.raises(SystemExit) as ended:
        cli(connecting(server, arguments), "derivtrio")
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert only_line(said).startswith("Error: ")
    assert "No space left on device" in said
    if arguments[0] == "call":
        assert "the server has answered, but the reply cannot be printed" in said


@pytest.mark.parametrize("arguments", [["--help"], ["record", "--help"]], ids=" ".join)
def test_a_reader_of_the_help_that_goes_away_is_141(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with suppress(OSError), os.fdopen(theirs, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        with pytest.raises(SystemExit) as ended:
            cli(arguments, "derivtrio")
    assert (ended.value.code, capsys.readouterr().err) == (141, "")


def test_the_numbers_of_closed_standard_streams_are_not_used_for_other_files(
    server: Served,
) -> None:
    code = (
        "import os, sys; os.close(1); sys.stdout = None;"
        "from derivtrio.__main__ import main, reserve_standard_streams;"
        "reserve_standard_streams(); print(os.readlink('/proc/self/fd/1'), file=sys.stderr); main()"
    )
    if not Path("/proc/self/fd").exists():
        pytest.skip("there is no /proc/self/fd here")
    result = finished("-c", code, "call", '{"time": 1}', "--url", server.url)
    where, said = result.stderr.splitlines()
    assert (result.returncode, said) == (1, "Error: standard output is closed")
    assert where == "/dev/null" or "libffi" in where  # which may keep its own file open, to read


def test_an_error_that_cannot_be_said_stops_nothing() -> None:
    with full_output("stderr"):
        note("a gap")


def test_a_refusal_says_which_server_refuses(server: Served) -> None:
    url = server.url.split("?")[0] + "/no/such/path?app_id=1089"
    result = run("ping", "--url", url)
    assert result.exit_code == 1
    shown = url.split("?")[0]
    assert only_line(result.stderr).startswith(f"Error: {shown} refuses the connection: HTTP 404")


def test_where_a_token_is_wanted_it_says_how_to_give_one(server: Served) -> None:
    result = run("call", '{"balance": 1}', "--url", server.url)
    assert result.exit_code == 1
    assert "(give a token in DERIV_TOKEN" in only_line(result.stderr)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.csv"), "a.csv: No such file"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("no luck"), "no luck"),
    ],
)
def test_an_error_of_the_system_is_words(error: OSError, said: str) -> None:
    with pytest.raises(click.ClickException) as caught:
        end_with(error, None)
    assert caught.value.message.startswith(said)


def test_a_closed_output_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    SqliteStore(tmp_path / "x.db").close()
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(SystemExit) as ended:
        cli(["export", str(tmp_path / "x.db")])
    assert ended.value.code == 1
    assert only_line(capsys.readouterr().err) == "Error: standard output is closed; give --out FILE"
