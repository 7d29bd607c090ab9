"""`derivtrio simulate`."""

import logging
import signal
from pathlib import Path

import pytest
import trustme
from served import finished, line, started
from shell import DEMO, only_line, run

from derivtrio.cli.ending import perform


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


def test_what_a_server_has_to_say_is_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        logging.getLogger("derivtrio.simulator").warning("new connections have to wait")
        logging.getLogger("derivtrio.simulator").info("no news")

    perform(main, level=logging.WARNING)
    assert capsys.readouterr().err == "new connections have to wait\n"
