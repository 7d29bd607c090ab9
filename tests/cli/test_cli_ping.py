"""`derivtrio ping`."""

from served import Served
from shell import run


def test_ping_measures_round_trips(server: Served) -> None:
    result = run("ping", "--url", server.url, "--count", "3", "--interval", "0")
    assert (result.exit_code, result.stderr) == (0, "")
    *pings, whole = result.stdout.splitlines()
    assert [text.split(":")[0] for text in pings] == ["ping 1", "ping 2", "ping 3"]
    times = [float(text.split()[2]) for text in pings]
    assert whole.startswith(f"round trip: min {min(times):.1f}, mean ")
    assert whole.endswith(f"max {max(times):.1f} ms")
