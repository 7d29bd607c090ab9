"""The bot of the page and its tests run, and each fault that it names can be scheduled."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import GUIDE, ROOT, read

from derivtrio.simulator import parse_fault

PAGE = read(GUIDE / "testing-your-bot.md")
FILES = {block.text.split("\n")[0].removeprefix("# "): block.text for block in PAGE.blocks("py")}
FAULTS = re.findall(r"`([a-z_]+[^`\n]*@\d+)`", PAGE.text)


def test_the_bot_passes_its_tests(tmp_path: Path) -> None:
    assert [*FILES] == ["bot.py", "test_bot.py"]
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    options = ["-q", "-p", "no:cacheprovider", "-o", "trio_mode=true", "-o", "pythonpath=."]
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(tmp_path)]
    path = {"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        command, cwd=tmp_path, env=path, capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stdout
    assert "6 passed" in result.stdout


@pytest.mark.parametrize("fault", FAULTS)
def test_the_faults_can_be_scheduled(fault: str) -> None:
    assert parse_fault(fault).at == 60


def test_there_are_faults() -> None:
    assert len(FAULTS) > 8
