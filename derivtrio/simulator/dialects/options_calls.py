"""The calls of the Options API, derived from v3's.

It has fewer calls, fields and values, calls a symbol `underlying_symbol`, and has two new contract
types.
"""

from collections.abc import Iterable
from typing import Any

from derivtrio.simulator.protocol.call_definitions import CALLS, CallDefinition
from derivtrio.simulator.protocol.field_schemas import Schema

#: The two names of the member for a symbol.
V3_SYMBOL, OPTIONS_SYMBOL = "symbol", "underlying_symbol"

#: The v3 calls that the Options API has too.
_SHARED = frozenset(
    "active_symbols balance buy cancel contract_update contract_update_history contracts_for"
    " forget forget_all logout ping portfolio profit_table proposal proposal_open_contract sell"
    " statement ticks ticks_history time trading_times transaction".split()
)
#: The shared calls that need an account; all of them need the scope `trade`.
_PERSONAL = frozenset(
    "balance buy cancel contract_update contract_update_history logout portfolio profit_table"
    " proposal_open_contract sell statement transaction".split()
)

#: The calls that only the Options API has. The simulator does not have them.
OPTIONS_NOT_SIMULATED = frozenset(
    "auto_get auto_list auto_list_strategies auto_pause auto_resume auto_start auto_stop"
    " contracts_list".split()
)

#: Members that were removed from all calls, or from one. One call keeps one of them.
_REMOVED = frozenset(
    "barrier_range date_start landing_company landing_company_short loginid product_type"
    " trade_risk_profile trading_period_start".split()
)
_REMOVED_FROM = {
    "active_symbols": {"barrier_category"},
    "balance": {"account"},
    "contracts_for": {"currency"},
}
_KEPT_IN = {"logout": {"loginid"}}
_REMOVED_VALUES = frozenset(
    "CALLSPREAD LBFLOATCALL LBFLOATPUT LBHIGHLOW PUTSPREAD SNOWDOWN SNOWUP"
    " adjustment escrow transfer virtual_credit"
    " crypto_estimations p2p_advert p2p_advertiser p2p_order p2p_settings"
    " trading_platform_asset_listing website_status".split()
)
_NEW_CONTRACT_TYPES = ("HIGHER", "LOWER")


def _definition(name: str, call: CallDefinition) -> CallDefinition:
    """Return the Options API's definition of a shared call."""
    removed = (_REMOVED | _REMOVED_FROM.get(name, set())) - _KEPT_IN.get(name, set())
    fields = _fields(call.fields, removed)
    required = tuple(_name(member) for member in call.required)
    return CallDefinition(fields, required, ("trade",) if name in _PERSONAL else ())


def _fields(fields: Schema, removed: Iterable[str]) -> Schema:
    return {
        _name(name): _schema(schema, removed)
        for name, schema in fields.items()
        if name not in removed
    }


def _name(name: str) -> str:
    return OPTIONS_SYMBOL if name == V3_SYMBOL else name


def _schema(schema: Any, removed: Iterable[str]) -> Any:
    """Return *schema*, or a part of one, without the removed members and values."""
    if isinstance(schema, list):
        return [_schema(item, removed) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: _schema(part, removed) for name, part in schema.items()}
    if "enum" in changed:
        changed["enum"] = _values(changed["enum"])
    if "properties" in changed:
        changed["properties"] = _fields(schema["properties"], removed)
    if "required" in changed:
        changed["required"] = [_name(name) for name in schema["required"]]
    return changed


def _values(values: list[Any]) -> list[Any]:
    kept = [value for value in values if value not in _REMOVED_VALUES]
    return [*_NEW_CONTRACT_TYPES, *kept] if "CALL" in kept else kept


OPTIONS_CALLS = {name: _definition(name, call) for name, call in CALLS.items() if name in _SHARED}
