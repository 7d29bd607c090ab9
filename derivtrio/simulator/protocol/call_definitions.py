"""The v3 calls that the simulator answers: the fields of each, and the scopes it needs.

The fields are the `properties` of the official v3 send schemas; a test compares this table with
those schemas.
"""

import attrs

from derivtrio.simulator.protocol.field_schemas import (
    AMOUNT,
    BASIC,
    BOUGHT_TYPE,
    CURRENCY,
    DAY,
    EPOCH,
    INTEGER,
    LATER_EPOCH,
    LIMIT_OR_NONE,
    NUMBER,
    OWNED_TYPES,
    PARAMETERS,
    PROPOSED_TYPE,
    SYMBOL,
    Schema,
    limit_order,
)

_ONE: Schema = {"type": "integer", "enum": [1]}
_ZERO_OR_ONE: Schema = {"type": "integer", "enum": [0, 1]}
_TOKEN: Schema = {"type": "string", "pattern": r"^[\w\-]{1,128}$"}
_LOGINID: Schema = {"type": "string", "pattern": "^[A-Za-z]+[0-9]+$"}
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
_READ = ("read", "trading_information")
_TRADE = ("trade",)
_GRANULARITY: Schema = {
    "type": "integer",
    "enum": [60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400],
}


@attrs.frozen
class CallDefinition:
    """One call: the schemas of its fields, and the required ones.

    A token needs one of *scopes*; without scopes the call needs no login.
    """

    fields: Schema
    required: tuple[str, ...]
    scopes: tuple[str, ...] = ()


def _call(name: str, schema: Schema, *also_required: str, **others: Schema) -> CallDefinition:
    return CallDefinition({name: schema, **others, **_COMMON}, (name, *also_required))


def _one_or_several(schema: Schema) -> Schema:
    return {"oneOf": [schema, {"type": "array", "items": schema}]}


def _account_call(
    scopes: tuple[str, ...], name: str, schema: Schema, *also_required: str, **others: Schema
) -> CallDefinition:
    call = _call(name, schema, *also_required, loginid=_LOGINID, **others)
    return attrs.evolve(call, scopes=scopes)


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
        product_type=BASIC,
        loginid=_LOGINID,
    ),
    "trading_times": _call(
        "trading_times", {"type": "string", "pattern": "^([0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|today)$"}
    ),
    "contracts_for": _call(
        "contracts_for",
        SYMBOL,
        currency=CURRENCY,
        landing_company=_COMPANY,
        landing_company_short=_COMPANY,
        product_type=BASIC,
        loginid=_LOGINID,
    ),
    "ticks": _call("ticks", _one_or_several(SYMBOL), subscribe=_ONE),
    "ticks_history": _call(
        "ticks_history",
        SYMBOL,
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
    "balance": _account_call(
        _READ,
        "balance",
        _ONE,
        account={"type": "string", "pattern": "^(current|all|[A-Z]{2,4}[0-9]{1,10})$"},
        subscribe=_ZERO_OR_ONE,
    ),
    "proposal": _call(
        "proposal",
        _ONE,
        "contract_type",
        "currency",
        "symbol",
        **PARAMETERS,
        contract_type=PROPOSED_TYPE,
        date_expiry=EPOCH,
        loginid=_LOGINID,
        subscribe=_ONE,
        trading_period_start=INTEGER,
    ),
    "buy": _account_call(
        _TRADE,
        "buy",
        {"type": "string", "pattern": r"^(?:[\w-]{32,128}|1)$"},
        "price",
        parameters={
            "type": "object",
            "additionalProperties": False,
            "required": ["contract_type", "currency", "symbol"],
            "properties": {
                **PARAMETERS,
                "app_markup_percentage": NUMBER,
                "contract_type": BOUGHT_TYPE,
                "date_expiry": LATER_EPOCH,
                "trading_period_start": LATER_EPOCH,
            },
        },
        price=AMOUNT,
        subscribe=_ONE,
    ),
    "sell": _account_call(_TRADE, "sell", INTEGER, "price", price=NUMBER),
    "cancel": _account_call(_TRADE, "cancel", INTEGER),
    "contract_update": _account_call(
        _TRADE,
        "contract_update",
        _ONE,
        "contract_id",
        "limit_order",
        contract_id=INTEGER,
        limit_order=limit_order(LIMIT_OR_NONE),
    ),
    "contract_update_history": _account_call(
        ("read",),
        "contract_update_history",
        _ONE,
        "contract_id",
        contract_id=INTEGER,
        limit={"type": "number", "maximum": 999, "minimum": 1},
    ),
    "proposal_open_contract": _account_call(
        _READ, "proposal_open_contract", _ONE, contract_id=INTEGER, subscribe=_ONE
    ),
    "portfolio": _account_call(_READ, "portfolio", _ONE, contract_type=OWNED_TYPES),
    "statement": _account_call(
        _READ,
        "statement",
        _ONE,
        action_type={
            "type": "string",
            "enum": (
                "buy sell deposit withdrawal escrow adjustment virtual_credit transfer"
            ).split(),
        },
        date_from=EPOCH,
        date_to=EPOCH,
        description=_ZERO_OR_ONE,
        limit={"type": "number", "maximum": 999, "minimum": 0},
        offset={"type": "integer", "minimum": 0},
    ),
    "profit_table": _account_call(
        _READ,
        "profit_table",
        _ONE,
        contract_type=OWNED_TYPES,
        date_from=DAY,
        date_to=DAY,
        description=_ZERO_OR_ONE,
        limit={"type": "number", "maximum": 500, "minimum": 0},
        offset={"type": "integer", "minimum": 0},
        sort={"type": "string", "enum": ["ASC", "DESC"]},
    ),
    "transaction": _account_call(_READ, "transaction", _ONE, "subscribe", subscribe=_ONE),
    "sell_expired": _account_call(_TRADE, "sell_expired", _ONE),
    "topup_virtual": _account_call(_TRADE, "topup_virtual", _ONE),
}
