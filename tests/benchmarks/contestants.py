"""Who is compared, and what each needs.

The modules are not imported here: most of them only work in their own environment.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Contestant:
    """A client in `clients/`.

    `packages` are installed for it in an environment of its own; without any it runs in ours.
    `shares` says whether one connection can serve several requests at a time; `only_ticks` that in
    all else it is another contestant under a second name.
    """

    name: str
    module: str
    packages: tuple[str, ...] = ()
    shares: bool = True
    only_ticks: bool = False


GUIDE: Final = Contestant(
    "guide: websockets + json", "guide", ("websockets", "orjson"), shares=False
)
DISPATCHER: Final = Contestant(
    "websockets + orjson, dispatcher", "websockets_orjson", ("websockets", "orjson")
)
PICOWS: Final = Contestant(
    "picows + orjson, bare", "picows_bare", ("picows", "orjson"), shares=False
)
DERIV_API: Final = Contestant(
    "python-deriv-api 0.1.6", "python_deriv_api", ("python-deriv-api==0.1.6",)
)
DERIV_SDK: Final = Contestant("deriv-sdk, logging off", "deriv_sdk_quiet", ("deriv-sdk",))
DERIVTRIO: Final = Contestant("derivtrio, dicts", "derivtrio_dicts")
TYPED: Final = Contestant("derivtrio, typed ticks", "derivtrio_ticks", only_ticks=True)

CONTESTANTS: Final = (
    GUIDE,
    DISPATCHER,
    Contestant("aiohttp + orjson, dispatcher", "aiohttp_orjson", ("aiohttp", "orjson")),
    PICOWS,
    Contestant("picows + orjson, dispatcher", "picows_orjson", ("picows", "orjson")),
    DERIV_API,
    DERIV_SDK,
    DERIVTRIO,
    TYPED,
)
