"""The programs beside another loop end with the error, and do not hang, if the client fails."""

import pytest
from pages import GUIDE, LIVE_URL, Block, read
from served import finished

PROGRAMS = read(GUIDE / "asyncio-and-anyio.md").blocks("python")


def test_there_are_programs() -> None:
    assert len(PROGRAMS) == 4


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_a_client_that_fails_ends_the_program(program: Block) -> None:
    assert LIVE_URL in program.text
    result = finished("-c", program.text.replace(LIVE_URL, "http://127.0.0.1"))
    assert result.returncode == 1
    assert "derivtrio.errors.InvalidURL: the URL begins with http://" in result.stderr
