"""The server of the lessons, as a command: for a naive client in any language."""

import signal
import socket

import pytest
from served import finished, line, started
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

SERVERS = ("-m", "examples.lessons.servers")


def test_it_prints_its_url_and_serves_until_ctrl_c() -> None:
    with started(*SERVERS, "closes-1008") as process:
        with connect(line(process), proxy=None) as websocket:
            websocket.send("anything")
            with pytest.raises(ConnectionClosed) as closed:
                websocket.recv(timeout=30)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        process.send_signal(signal.SIGINT)
        assert process.communicate() == ("", "")
    assert process.returncode == 130


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = finished(*SERVERS, "answers", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert done.stderr.startswith("[error] no server on port ")
    assert done.stderr.count("\n") == 1


def test_a_lesson_of_a_server_that_never_says_hello_ends_with_a_line() -> None:
    """The kernel accepts the connection, and nobody answers the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"ws://127.0.0.1:{mute.getsockname()[1]}/"
        done = finished("-m", "examples.lessons.python", "--url", url, "--limit", "0.1")
    assert (done.returncode, done.stdout, done.stderr) == (1, "[limit] stopped after 0.1 s\n", "")


def test_a_wrong_command_line_is_explained() -> None:
    done = finished("-m", "examples.lessons.go", "--server", "explodes")
    assert done.returncode == 2
    assert "invalid choice: 'explodes'" in done.stderr
    assert "Traceback" not in done.stderr
