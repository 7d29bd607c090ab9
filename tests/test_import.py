"""What `import derivtrio` does, which every program waits for when it starts.

How long it takes is measured by `python -m tests.benchmarks --only import`. What takes the time
does not depend on the machine: the modules that are loaded, and the classes that attrs writes for.
"""

import copy
import importlib
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import derivtrio
from derivtrio import models

#: Packages that come in beyond those of trio and trio_websocket: msgspec, and what it imports.
THIRD_PARTY = {"derivtrio", "msgspec", "typing_extensions"}
STANDARD = {"_decimal", "_json", "_uuid", "decimal", "json", "numbers", "uuid"}

#: What only some programs need, or only a client that is opened.
LATER = (
    "derivtrio.calls.pages.",
    "derivtrio.cli.",
    "derivtrio.codegen.",
    "derivtrio.connection.account.",
    "derivtrio.connection.addresses.",
    "derivtrio.connection.proxy.",
    "derivtrio.connection.rest.",
    "derivtrio.connection.tunnel.",
    "derivtrio.recording.",
    "derivtrio.simulator.",
    "derivtrio.streams.backfill.",
    "derivtrio.streams.candles.",
    "derivtrio.streams.staleness.",
    "derivtrio.streams.ticks.",
    "derivtrio.streams.transactions.",
    "derivtrio.trading.lists.",
    "derivtrio.trading.reconcile.",
)

#: How many classes attrs writes methods for; each takes as long as a small module. A `__repr__` is
#: half of what is written for a class that has no `__eq__`, so only data has one.
MOST_ATTRS_CLASSES = 75
MOST_REPRS = 22

PROBE = """
import json, sys
import trio, trio_websocket
before = set(sys.modules)
written = []
def hook(event, arguments):
    if event == "compile" and str(arguments[1]).startswith("<attrs generated"):
        written.append(arguments)
sys.addaudithook(hook)
import derivtrio
reprs = sum("def __repr__" in str(source) for source, _ in written)
classes = {name.split()[-1] for _, name in written}  # older versions of attrs write each alone
print(json.dumps([sorted(set(sys.modules) - before), len(classes), reprs]))
"""


@pytest.fixture(scope="module")
def imported() -> tuple[set[str], int, int]:
    """Return the modules that come in beyond trio's; for how many classes attrs writes methods,
    and a `__repr__`."""
    command = [sys.executable, "-c", PROBE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    modules, written, reprs = json.loads(done.stdout)
    return set(modules), written, reprs


def test_no_package_comes_in_that_is_not_needed(imported: tuple[set[str], int, int]) -> None:
    packages = {name.split(".")[0] for name in imported[0]}
    assert packages <= THIRD_PARTY | STANDARD


def test_what_is_rarely_needed_comes_in_later(imported: tuple[set[str], int, int]) -> None:
    assert "derivtrio.client" in imported[0]
    assert not [name for name in imported[0] if f"{name}.".startswith(LATER)]


def test_attrs_writes_for_few_classes(imported: tuple[set[str], int, int]) -> None:
    assert 0 < imported[1] <= MOST_ATTRS_CLASSES
    assert 0 < imported[2] <= MOST_REPRS


def test_what_comes_in_later_is_there_all_the_same() -> None:
    from derivtrio import OptionsAccount  # noqa: PLC0415 - that it can be is the test
    from derivtrio.connection.account import OptionsAccount as TheSame  # noqa: PLC0415

    assert OptionsAccount is TheSame is derivtrio.OptionsAccount
    assert set(derivtrio.__all__) <= set(dir(derivtrio))
    with pytest.raises(AttributeError, match="no attribute 'OptionAccount'"):
        derivtrio.OptionAccount  # type: ignore[attr-defined]  # noqa: B018


def test_files_of_the_package_are_found_wherever_it_is_imported_from() -> None:
    """A zipapp has no folders: what is not a module is a resource (`importlib.resources`)."""
    package = Path(derivtrio.__file__).parent
    sources = {path.relative_to(package): path.read_text() for path in package.rglob("*.py")}
    asking = {path for path, source in sources.items() if "__file__" in source}
    assert {path for path in asking if path.parts[0] != "codegen"} == set()


MODELS: list[Any] = [
    derivtrio.Tick("R_100", 1, 1.5),
    models.Balance("CR1", 1.5, "USD"),
    derivtrio.Candle("R_100", 60, 60, 119, 1.0, 2.0, 0.5, 1.5, closed=True),
    derivtrio.NotBought("nothing fits"),
    derivtrio.Limits(7, 5.0, None, {"stop_loss": {}}),
    derivtrio.Proposal("x", 1.0, None, None, None, "", {"amount": 10}, 1, {"id": "x"}),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_models_are_frozen_and_comparable_and_can_be_copied_and_pickled(model: Any) -> None:
    name = model.__struct_fields__[0]
    with pytest.raises(AttributeError):
        setattr(model, name, "other")
    assert model == copy.copy(model) == pickle.loads(pickle.dumps(model))
    assert model != msgspec.structs.replace(model, **{name: "other"})
    assert repr(model).startswith(type(model).__name__ + "(")
    assert {model, copy.deepcopy(model)} == {model}


@pytest.mark.parametrize(
    ("old", "names"), [("published", ("OPTIONS", "V3")), ("shortcodes", ("agrees", "rest_of"))]
)
def test_old_names_of_modules_lead_to_where_things_live_now(
    old: str, names: tuple[str, ...]
) -> None:
    module = importlib.import_module(f"derivtrio.{old}")
    (now,) = re.findall(r"The old name of `([\w.]+)`", str(module.__doc__))
    for name in names:
        assert getattr(module, name) is getattr(importlib.import_module(now), name)


@pytest.mark.parametrize("name", ["errors", "events", "models", "settings"])
def test_whatever_users_get_can_be_imported_from_derivtrio(name: str) -> None:
    module = importlib.import_module(f"derivtrio.{name}")
    public = {
        word
        for word, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and not word.startswith("_")
    }
    assert public <= set(derivtrio.__all__)
