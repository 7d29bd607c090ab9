"""Who is compared, and what each needs.

The modules are not imported here: most of them only work in their own environment.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

#: The checkout that this file is in.
ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Contestant:
    """A client in `clients/`.

    `packages` are installed for it in an environment of its own; without any it runs in ours.
    `shares` says whether one connection can serve several requests at a time; `only_ticks` that in
    all else it is another contestant under a second name. `source` is the checkout whose derivtrio
    it is, if it is derivtrio.
    """

    name: str
    module: str
    packages: tuple[str, ...] = ()
    shares: bool = True
    only_ticks: bool = False
    source: Path | None = None


GUIDE: Final = Contestant(
    "guide: websockets + json", "guide", ("websockets", "orjson"), shares=False
)
DISPATCHER: Final = Contestant(
    "websockets + orjson, dispatcher", "websockets_orjson", ("websockets", "orjson")
)
PICOWS: Final = Contestant("picows + orjson, dispatcher", "picows_orjson", ("picows", "orjson"))
DERIV_API: Final = Contestant(
    "python-deriv-api 0.1.6", "python_deriv_api", ("python-deriv-api==0.1.6",)
)
DERIV_SDK: Final = Contestant("deriv-sdk, logging off", "deriv_sdk_quiet", ("deriv-sdk",))
DERIVTRIO: Final = Contestant("derivtrio, dicts", "derivtrio_dicts", source=ROOT)
TYPED: Final = Contestant("derivtrio, typed ticks", "derivtrio_ticks", only_ticks=True, source=ROOT)

CONTESTANTS: Final = (
    GUIDE,
    DISPATCHER,
    Contestant("aiohttp + orjson, dispatcher", "aiohttp_orjson", ("aiohttp", "orjson")),
    Contestant("picows + orjson, bare", "picows_bare", ("picows", "orjson"), shares=False),
    PICOWS,
    DERIV_API,
    DERIV_SDK,
    DERIVTRIO,
    TYPED,
)


def with_checkouts(checkouts: Mapping[str, Path]) -> Iterator[Contestant]:
    """Yield all contestants; after each derivtrio the same from each of the named *checkouts*."""
    for contestant in CONTESTANTS:
        yield contestant
        if contestant.source is not None:
            for name, source in checkouts.items():
                yield replace(contestant, name=named(contestant, name), source=source)


def named(contestant: Contestant, checkout: str) -> str:
    """Return what *contestant*, a derivtrio, is called when it comes from the named *checkout*."""
    return contestant.name.replace("derivtrio", f"derivtrio ({checkout})")
