"""The calls that the simulator knows, and what each of them may contain.

The fields are the `properties` of the official v3 send schemas, word for word where they matter;
a test holds this table against them. *scopes* are the ones of which a token needs one.
"""

from typing import Any

import attrs

Schema = dict[str, Any]

_ONE: Schema = {"type": "integer", "enum": [1]}
_ZERO_OR_ONE: Schema = {"type": "integer", "enum": [0, 1]}
_SYMBOL: Schema = {"type": "string", "pattern": r"^\w{2,30}$"}
_TOKEN: Schema = {"type": "string", "pattern": r"^[\w\-]{1,128}$"}
_LOGINID: Schema = {"type": "string", "pattern": "^[A-Za-z]+[0-9]+$"}
_BASIC: Schema = {"type": "string", "enum": ["basic"]}
_CURRENCY: Schema = {"type": "string", "pattern": "^[a-zA-Z0-9]{2,20}$"}
_COMPANY: Schema = {
    "type": "string",
    "enum": ["iom", "malta", "maltainvest", "svg", "virtual", "vanuatu"],
}
_COMMON: Schema = {"passthrough": {"type": "object"}, "req_id": {"type": "integer"}}

_STREAM_TYPE: Schema = {
    "type": "string",
    "enum": (
        "balance candles cashier_payments p2p_advert p2p_advertiser p2p_order proposal"
        " proposal_open_contract ticks transaction trading_platform_asset_listing website_status"
        " p2p_settings crypto_estimations"
    ).split(),
}
_BARRIER_CATEGORY: Schema = {
    "type": "string",
    "enum": "american asian euro_atm euro_non_atm non_financial lookback reset".split(),
}
_CONTRACT_TYPE: Schema = {
    "type": "string",
    "enum": (
        "MULTUP MULTDOWN UPORDOWN EXPIRYRANGE ONETOUCH CALLE LBHIGHLOW ASIAND EXPIRYRANGEE"
        " DIGITDIFF DIGITMATCH DIGITOVER PUTE DIGITUNDER NOTOUCH CALL RANGE LBFLOATPUT DIGITODD"
        " PUT ASIANU LBFLOATCALL EXPIRYMISSE EXPIRYMISS DIGITEVEN TICKHIGH TICKLOW RESETCALL"
        " RESETPUT CALLSPREAD PUTSPREAD RUNHIGH RUNLOW ACCU VANILLALONGCALL VANILLALONGPUT"
        " TURBOSLONG TURBOSSHORT"
    ).split(),
}
_GRANULARITY: Schema = {
    "type": "integer",
    "enum": [60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400],
}


@attrs.frozen
class Call:
    """One call of the API: its fields, those it cannot do without, and the scopes it needs."""

    fields: Schema
    required: tuple[str, ...]
    scopes: tuple[str, ...] = ()


def _call(name: str, schema: Schema, *also_required: str, **others: Schema) -> Call:
    return Call({name: schema, **others, **_COMMON}, (name, *also_required))


def _one_or_several(schema: Schema) -> Schema:
    return {"oneOf": [schema, {"type": "array", "items": schema}]}


CALLS = {
    "ping": _call("ping", _ONE),
    "time": _call("time", _ONE),
    "website_status": _call("website_status", _ONE, subscribe=_ZERO_OR_ONE),
    "active_symbols": _call(
        "active_symbols",
        {"type": "string", "enum": ["brief", "full"]},
        barrier_category={"type": "array", "items": _BARRIER_CATEGORY},
        contract_type={"type": "array", "items": _CONTRACT_TYPE},
        landing_company=_COMPANY,
        landing_company_short=_COMPANY,
        product_type=_BASIC,
        loginid=_LOGINID,
    ),
    "trading_times": _call(
        "trading_times", {"type": "string", "pattern": "^([0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|today)$"}
    ),
    "contracts_for": _call(
        "contracts_for",
        _SYMBOL,
        currency=_CURRENCY,
        landing_company=_COMPANY,
        landing_company_short=_COMPANY,
        product_type=_BASIC,
        loginid=_LOGINID,
    ),
    "ticks": _call("ticks", _one_or_several(_SYMBOL), subscribe=_ONE),
    "ticks_history": _call(
        "ticks_history",
        _SYMBOL,
        "end",
        adjust_start_time=_ONE,
        count={"type": "integer"},
        end={"type": "string", "pattern": "^(latest|[0-9]{1,10})$"},
        granularity=_GRANULARITY,
        start={"type": "integer", "maximum": 9999999999, "minimum": 0},
        style={"type": "string", "enum": ["candles", "ticks"]},
        subscribe=_ONE,
    ),
    "forget": _call("forget", {"type": "string", "pattern": r"^[\w-]{32,128}$"}),
    "forget_all": _call("forget_all", _one_or_several(_STREAM_TYPE)),
    "authorize": _call(
        "authorize",
        _TOKEN,
        add_to_login_history={"type": "integer", "enum": [1, 0]},
        tokens={"type": "array", "items": _TOKEN, "maxItems": 25},
    ),
    "logout": _call("logout", _ONE, loginid=_LOGINID),
    "balance": attrs.evolve(
        _call(
            "balance",
            _ONE,
            account={"type": "string", "pattern": "^(current|all|[A-Z]{2,4}[0-9]{1,10})$"},
            subscribe=_ZERO_OR_ONE,
            loginid=_LOGINID,
        ),
        scopes=("read", "trading_information"),
    ),
}
