"""`derivtrio call`."""

import json

import pytest
from served import Served, finished
from shell import only_line, run

from derivtrio.cli import output


def test_call_prints_one_line_of_json_when_piped(server: Served) -> None:
    result = run("call", '{"time": 1}', "--url", server.url)
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(only_line(result.stdout))["msg_type"] == "time"


def test_call_prints_more_readable_json_on_a_terminal(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "to_terminal", lambda: True)
    result = run("call", '{"website_status": 1}', "--url", server.url)
    assert result.stdout.count("\n") > 10
    assert json.loads(result.stdout)["website_status"]["site_status"] == "up"


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a":' * 100_000])
def test_a_request_that_is_no_json_is_2(text: str) -> None:
    result = run("call", text)
    assert result.exit_code == 2
    assert "not JSON" in result.stderr.splitlines()[-1]


def test_call_reads_standard_input(server: Served) -> None:
    result = run("call", "-", "--url", server.url, input='{"ping": 1}\n')
    assert json.loads(result.stdout)["ping"] == "pong"


def test_without_a_standard_input_call_cannot_read_it() -> None:
    code = "import sys; sys.stdin = None; from derivtrio.__main__ import main; main()"
    result = finished("-c", code, "call", "-")
    assert result.returncode == 2
    assert "no standard input" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_api_error_is_one_line_and_1(server: Served) -> None:
    result = run("call", '{"ticks_history": "NO_SUCH", "end": "latest"}', "--url", server.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert only_line(result.stderr).startswith("Error: InvalidSymbol: ")


def test_a_request_that_the_client_refuses_is_one_line_and_1(server: Served) -> None:
    result = run("call", "{}", "--url", server.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert only_line(result.stderr).startswith("Error: InvalidRequest: ")
