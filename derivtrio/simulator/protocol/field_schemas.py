"""JSON schemas of the fields that describe a contract, from the official v3 send schemas."""

from typing import Any

Schema = dict[str, Any]

BASIC: Schema = {"type": "string", "enum": ["basic"]}
CURRENCY: Schema = {"type": "string", "pattern": "^[a-zA-Z0-9]{2,20}$"}
SYMBOL: Schema = {"type": "string", "pattern": r"^\w{2,30}$"}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
AMOUNT: Schema = {"type": "number", "minimum": 0}
EPOCH: Schema = {"type": "integer", "maximum": 9999999999, "minimum": 0}
LATER_EPOCH: Schema = {"type": "integer", "maximum": 9999999999, "minimum": 1}
BARRIER: Schema = {"type": "string", "pattern": r"^(?=.{1,20}$)[+-]?[0-9]+\.?[0-9]*$"}
DAY: Schema = {
    "type": "string",
    "pattern": "^([0-9]{4}-(0?[1-9]|1[012])-(0?[1-9]|[12][0-9]|3[01])|[0-9]{1,10})$",
}
LIMIT_OR_NONE: Schema = {"type": ["null", "number"]}


def limit_order(limit: Schema) -> Schema:
    """Return the schema of a `limit_order` whose amounts have the schema *limit*."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {"stop_loss": limit, "take_profit": limit},
    }


def _types(names: str) -> Schema:
    return {"type": "string", "enum": names.split()}


#: The parameters of a contract. `proposal` and `buy` list different contract types, and have
#: different minima for some epochs.
PARAMETERS: dict[str, Schema] = {
    "amount": AMOUNT,
    "barrier": BARRIER,
    "barrier2": BARRIER,
    "barrier_range": {"type": "string", "enum": ["tight", "middle", "wide"]},
    "basis": {"type": "string", "enum": ["payout", "stake"]},
    "cancellation": {"type": "string", "pattern": r"^\w+$"},
    "currency": CURRENCY,
    "date_start": EPOCH,
    "duration": {"type": "integer", "maximum": 99999999, "minimum": 0},
    "duration_unit": {"type": "string", "enum": ["d", "m", "s", "h", "t"]},
    "growth_rate": NUMBER,
    "limit_order": limit_order(NUMBER),
    "multiplier": AMOUNT,
    "payout_per_point": NUMBER,
    "product_type": BASIC,
    "selected_tick": INTEGER,
    "symbol": SYMBOL,
    "trade_risk_profile": {"type": "string", "enum": ["low", "medium", "high"]},
}
PROPOSED_TYPE = _types(
    "MULTUP MULTDOWN UPORDOWN EXPIRYRANGE ONETOUCH CALLE LBHIGHLOW ASIAND EXPIRYRANGEE DIGITDIFF"
    " DIGITMATCH DIGITOVER PUTE DIGITUNDER NOTOUCH CALL RANGE LBFLOATPUT DIGITODD PUT ASIANU"
    " LBFLOATCALL EXPIRYMISSE EXPIRYMISS DIGITEVEN TICKHIGH TICKLOW RESETCALL RESETPUT SNOWDOWN"
    " SNOWUP CALLSPREAD PUTSPREAD RUNHIGH RUNLOW ACCU VANILLALONGCALL VANILLALONGPUT TURBOSLONG"
    " TURBOSSHORT"
)
BOUGHT_TYPE = _types(
    "ACCU ASIAND ASIANU CALL CALLE CALLSPREAD DIGITDIFF DIGITEVEN DIGITMATCH DIGITODD DIGITOVER"
    " DIGITUNDER EXPIRYMISS EXPIRYMISSE EXPIRYRANGE EXPIRYRANGEE LBFLOATCALL LBFLOATPUT LBHIGHLOW"
    " MULTDOWN MULTUP NOTOUCH ONETOUCH PUT PUTE PUTSPREAD RANGE RESETCALL RESETPUT RUNHIGH RUNLOW"
    " SNOWDOWN SNOWUP TICKHIGH TICKLOW TURBOSLONG TURBOSSHORT UPORDOWN VANILLALONGCALL"
    " VANILLALONGPUT"
)
#: `uniqueItems` has no effect in this place; the official schema has it here.
OWNED_TYPES: Schema = {
    "type": "array",
    "items": {
        **_types(
            "ACCU ASIAND ASIANU CALL CALLE CALLSPREAD DIGITDIFF DIGITEVEN DIGITMATCH DIGITODD"
            " DIGITOVER DIGITUNDER EXPIRYMISSE EXPIRYMISS EXPIRYRANGE EXPIRYRANGEE LBFLOATCALL"
            " LBFLOATPUT LBHIGHLOW MULTDOWN MULTUP NOTOUCH ONETOUCH PUT PUTE PUTSPREAD RANGE"
            " RESETCALL RESETPUT RUNHIGH RUNLOW TICKHIGH TICKLOW UPORDOWN VANILLALONGCALL"
            " VANILLALONGPUT TURBOSLONG TURBOSSHORT"
        ),
        "uniqueItems": True,
    },
}
