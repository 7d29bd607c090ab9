"""`--serve`: the time line of a command, in a browser."""

import re
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from served import Served, line, started
from shell import run

#: Where each command's page is told: on standard error by the log, by `demo` on standard output.
SERVING = ("demo", "record", "relay", "ticks", "top", "watch")


def fetched(url: str, host: str = "localhost") -> tuple[int, str]:
    """Return the status and the text of a page."""
    request = urllib.request.Request(url, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def url_in(read: Callable[[], str]) -> str:
    """Return the page's URL, which one of the next lines has."""
    for _ in range(10):
        if (found := re.search(r"http://127\.0\.0\.1:\d+/", read())) is not None:
            return found[0]
    pytest.fail("no URL")


@pytest.mark.parametrize("name", SERVING)
def test_long_running_commands_can_be_watched(name: str) -> None:
    assert "--serve [HOST:]PORT" in run(name, "--help").output


def test_ticks_has_a_page_with_its_streams(server: Served) -> None:
    command = ("-m", "derivtrio", "ticks", "R_100", "1HZ100V", "--serve", "0")
    with started(*command, DERIV_URL=server.url, DERIV_TOKEN="demo-token") as process:
        assert process.stderr is not None
        url = url_in(process.stderr.readline)
        line(process)
        status, page = fetched(url)
        assert status == 200
        assert re.search(r'<path class="dots \w+" data-title="(R_100|1HZ100V)"', page)
        assert "demo-token" not in page
        assert fetched(url, "evil.example")[0] == 403
        process.terminate()
        process.communicate()
    assert process.returncode == 143


def test_demo_says_where_it_can_be_watched(server: Served) -> None:
    with started("-u", "-m", "derivtrio", "demo", "--serve", "0") as process:
        url = url_in(lambda: line(process))
        status, page = fetched(url)
        assert (status, "not connected yet" in page) == (200, True)
        process.terminate()
        process.communicate()
    assert process.returncode == 143


@pytest.mark.parametrize(
    "command", [("ticks", "R_100", "--count", "1"), ("demo",)], ids=lambda each: each[0]
)
def test_a_port_in_use_is_one_line(server: Served, command: tuple[str, ...]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        where: dict[str, Any] = {"env": {"DERIV_URL": server.url}}
        result = run(*command, "--serve", str(port), **where)
    assert result.exit_code == 1
    text = f"Error: cannot serve the time line at 127.0.0.1:{port}: Address already in use"
    assert result.stderr.splitlines() == [text]


@pytest.mark.parametrize("text", ["", "x", ":1", "127.0.0.1", "localhost:70000"])
def test_what_is_no_address_is_refused(text: str) -> None:
    result = run("ticks", "R_100", "--serve", text)
    assert result.exit_code == 2
    assert "an address is HOST:PORT" in result.stderr


def test_an_address_that_others_can_reach_is_warned_of(server: Served) -> None:
    result = run(
        *("ticks", "R_100", "--count", "1", "--url", server.url),
        *("--serve", "0.0.0.0:0"),
    )
    assert result.exit_code == 0
    assert "can be read by everybody who reaches this machine" in result.stderr
