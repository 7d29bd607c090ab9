"""The cells of the page about Jupyter, run by a real kernel."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pages import GUIDE, LIVE_URL, read
from served import served

nbclient = pytest.importorskip("nbclient", reason="no nbclient: pip install '.[jupyter]'")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel", reason="no ipykernel: pip install '.[jupyter]'")

PAGE = read(GUIDE / "jupyter.md")
CELLS = [block.text for block in PAGE.blocks("py")]
LONG = next(number for number, cell in enumerate(CELLS) if "ExitStack" in cell)

#: Interrupts its own kernel, as the button does.
INTERRUPTED = """
import os, signal

async with derivtrio.open_client(endpoint=URL) as client, client.ticks("R_100") as stream:
    async for tick in stream:
        os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a kernel that is this Python."""
    folder = tmp_path / "kernels" / "here"
    folder.mkdir(parents=True)
    arguments = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": arguments, "display_name": "here", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")


def outputs(cells: list[str], **options: Any) -> list[list[dict[str, Any]]]:
    """Run *cells* in a new kernel; return what each has put out."""
    with served() as server:
        texts = [cell.replace(LIVE_URL, server.url) for cell in cells]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(t) for t in texts])
        running = nbclient.NotebookClient(notebook, kernel_name="here", timeout=60, **options)
        asyncio.run(running.async_execute())
    return [list(cell.outputs) for cell in notebook.cells]


@pytest.mark.filterwarnings("ignore")  # of Jupyter's own
def test_a_client_in_one_cell(kernel: None) -> None:
    *_, shown = outputs(CELLS[:LONG])
    assert len(json.loads(shown[0]["data"]["text/plain"])) == 3


@pytest.mark.filterwarnings("ignore")
def test_an_interrupted_cell_closes_its_client(kernel: None) -> None:
    cells = [*CELLS[:2], INTERRUPTED, CELLS[1], "client.status.state.value"]
    shown = outputs(cells, allow_errors=True)
    assert [put["ename"] for put in shown[2]] == ["KeyboardInterrupt"]
    assert shown[3] == []
    assert shown[4][0]["data"]["text/plain"] == "'closed'"


@pytest.mark.filterwarnings("ignore")
def test_a_client_for_many_cells(kernel: None) -> None:
    _, called, ticks, state, closed = outputs(CELLS[LONG:])
    assert int(called[0]["data"]["text/plain"]) > 1_700_000_000
    assert len(ticks[0]["text"].split()) == 3
    assert "READY" in state[0]["data"]["text/plain"]
    assert closed == []
