"""The two generations of the API as dialects of one language.

What answers requests speaks v3. On a connection of the Options API a request is checked against
that API's own table, and put into v3 words; what is sent is put into the words of the Options API.
Everything that differs is in the tables of this module, which follow the published schemas.

What a reply repeats of its request is repeated as it was: a translated request remembers its
original.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from derivtrio.simulator.protocol.call_definitions import CALLS, NOT_SIMULATED, CallDefinition
from derivtrio.simulator.protocol.envelope import Message, TranslatedRequest
from derivtrio.simulator.protocol.field_schemas import Schema

#: The calls of the Options API that v3 has, too.
_SHARED = frozenset(
    "active_symbols balance buy cancel contract_update contract_update_history contracts_for"
    " forget forget_all logout ping portfolio profit_table proposal proposal_open_contract sell"
    " statement ticks ticks_history time trading_times transaction".split()
)
#: Those of them that need an account, and with it a token of the scope `trade`.
_PERSONAL = frozenset(
    "balance buy cancel contract_update contract_update_history logout portfolio profit_table"
    " proposal_open_contract sell statement transaction".split()
)

#: The calls that only the Options API has; the simulator has none of them.
_NEW_NOT_SIMULATED = frozenset(
    "auto_get auto_list auto_list_strategies auto_pause auto_resume auto_start auto_stop"
    " contracts_list".split()
)

#: Members that no request but one has any more, and those that one call has no more.
_GONE = frozenset(
    "barrier_range date_start landing_company landing_company_short loginid product_type"
    " trade_risk_profile trading_period_start".split()
)
_GONE_FROM = {
    "active_symbols": {"barrier_category"},
    "balance": {"account"},
    "contracts_for": {"currency"},
}
_KEPT_IN = {"logout": {"loginid"}}
_GONE_VALUES = frozenset(
    "CALLSPREAD LBFLOATCALL LBFLOATPUT LBHIGHLOW PUTSPREAD SNOWDOWN SNOWUP"
    " adjustment escrow transfer virtual_credit"
    " crypto_estimations p2p_advert p2p_advertiser p2p_order p2p_settings"
    " trading_platform_asset_listing website_status".split()
)
_NEW_CONTRACT_TYPES = ("HIGHER", "LOWER")

_V3_SYMBOL, _OPTIONS_SYMBOL = "symbol", "underlying_symbol"


@attrs.frozen
class Dialect:
    """A generation: its calls, those that are not simulated, the way from it to v3 and back."""

    calls: Mapping[str, CallDefinition]
    not_simulated: frozenset[str]
    request: Callable[[Message], Message]
    message: Callable[[Message], Message]


@attrs.frozen
class PayloadChange:
    """How the objects at *path* inside a payload differ from v3's.

    *renamed* members come from the first of their v3 names that is there. *amounts* are strings
    with two decimals, *texts* strings.
    """

    path: tuple[str, ...] = ()
    renamed: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    dropped: frozenset[str] = frozenset()
    amounts: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    added: Message = attrs.field(factory=dict)

    def made_in(self, payload: Any) -> Any:
        """Return *payload* with this change."""
        return _at(payload, self.path, self._changed)

    def _changed(self, item: Message) -> Message:
        former = {name for names in self.renamed.values() for name in names}
        changed = {k: v for k, v in item.items() if k not in self.dropped | former}
        for name, sources in self.renamed.items():
            present = [item[source] for source in (*sources, name) if source in item]
            if present:
                changed[name] = present[0]
        for name in self.amounts & changed.keys():
            changed[name] = _amount(changed[name])
        for name in self.texts & changed.keys():
            changed[name] = None if changed[name] is None else str(changed[name])
        return changed | self.added


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_RENAMED_SYMBOL = {_OPTIONS_SYMBOL: (_V3_SYMBOL,)}

#: What differs in the payload of each `msg_type`.
_PAYLOADS: dict[str, tuple[PayloadChange, ...]] = {
    "active_symbols": (
        PayloadChange(
            renamed=_RENAMED_SYMBOL
            | {
                "underlying_symbol_name": ("display_name",),
                "underlying_symbol_type": ("symbol_type",),
                "pip_size": ("pip",),
            },
            dropped=_words(
                "allow_forward_starting close_only delay_amount display_order exchange_name"
                " intraday_interval_minutes market_display_name quoted_currency_symbol spot"
                " spot_age spot_percentage_change spot_time subgroup_display_name"
                " submarket_display_name"
            ),
            added={"trade_count": 0},
        ),
    ),
    "contracts_for": (
        PayloadChange(dropped=_words("close feed_license non_available open spot")),
        PayloadChange(
            path=("available",),
            dropped=_words(
                "barrier_category contract_category_display contract_display duration_choices"
                " exchange_name forward_starting_options start_type trade_risk_profile_choices"
                " trading_period"
            ),
        ),
    ),
    "portfolio": (
        PayloadChange(path=("contracts",), renamed=_RENAMED_SYMBOL, dropped=_words("app_id")),
    ),
    "profit_table": (PayloadChange(path=("transactions",), dropped=_words("app_id")),),
    "proposal": (
        PayloadChange(dropped=_words("display_value")),
        PayloadChange(
            path=("contract_details",),
            dropped=_words(
                "caution_price coupon_rate num_of_coupons profit_price trade_risk_profile"
            ),
        ),
    ),
    "proposal_open_contract": (
        PayloadChange(
            renamed={
                _OPTIONS_SYMBOL: ("underlying",),
                "current_spot": ("current_spot_display_value",),
                "entry_spot": (
                    "entry_spot_display_value",
                    "entry_tick_display_value",
                    "entry_tick",
                ),
                "entry_spot_time": ("entry_tick_time",),
                "exit_spot": ("exit_tick_display_value", "exit_tick"),
                "exit_spot_time": ("exit_tick_time",),
            },
            dropped=_words(
                "caution_price commision coupon_collection_epochs coupon_rate display_name"
                " display_value is_forward_starting num_of_coupons profit_price sell_spot"
                " sell_spot_display_value sell_spot_time trade_risk_profile"
            ),
            amounts=_words("bid_price buy_price commission payout profit sell_price"),
            texts=_words("current_spot entry_spot exit_spot selected_spot"),
        ),
    ),
    "statement": (
        PayloadChange(
            path=("transactions",), dropped=_words("app_id fees from to withdrawal_details")
        ),
    ),
    "trading_times": (
        PayloadChange(path=("markets", "submarkets", "symbols"), renamed=_RENAMED_SYMBOL),
    ),
    "transaction": (
        PayloadChange(
            renamed=_RENAMED_SYMBOL,
            dropped=_words(
                "barrier display_name high_barrier low_barrier stop_loss stop_out take_profit"
            ),
        ),
    ),
}


def _as_v3_request(request: Message) -> Message:
    """Return *request* in v3's words. Its `loginid` needs none: there is one account."""
    translated = TranslatedRequest(_v3_words(request))
    translated.original = request
    if isinstance(parameters := request.get("parameters"), dict):
        translated["parameters"] = _v3_words(parameters)
    return translated


def _v3_words(members: Message) -> Message:
    return {
        _V3_SYMBOL if name == _OPTIONS_SYMBOL else name: value for name, value in members.items()
    }


def _as_options_message(message: Message) -> Message:
    """Return *message*, which is meant for v3, as the Options API sends it.

    There `passthrough` is repeated in `echo_req` alone.
    """
    kind = message.get("msg_type", "")
    changed = {name: value for name, value in message.items() if name != "passthrough"}
    for change in _PAYLOADS.get(kind, ()) if kind in changed else ():
        changed[kind] = change.made_in(changed[kind])
    return changed


def _at(value: Any, path: tuple[str, ...], change: Callable[[Message], Message]) -> Any:
    """Return *value* with the objects at *path*, through any lists on the way, changed."""
    if isinstance(value, list):
        return [_at(item, path, change) for item in value]
    if not isinstance(value, dict):
        return value
    if not path:
        return change(value)
    name, *rest = path
    return value | {name: _at(value[name], tuple(rest), change)} if name in value else value


def _amount(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else f"{value:.2f}"


def _options_call(name: str, call: CallDefinition) -> CallDefinition:
    """Return the Options API's row for a call that v3 has."""
    gone = (_GONE | _GONE_FROM.get(name, set())) - _KEPT_IN.get(name, set())
    fields = _options_fields(call.fields, gone)
    required = tuple(_options_name(member) for member in call.required)
    return CallDefinition(fields, required, ("trade",) if name in _PERSONAL else ())


def _options_fields(fields: Schema, gone: Iterable[str]) -> Schema:
    return {
        _options_name(name): _options_schema(schema, gone)
        for name, schema in fields.items()
        if name not in gone
    }


def _options_name(name: str) -> str:
    return _OPTIONS_SYMBOL if name == _V3_SYMBOL else name


def _options_schema(schema: Any, gone: Iterable[str]) -> Any:
    """Return *schema*, or a part of one, without the members and the values that are gone."""
    if isinstance(schema, list):
        return [_options_schema(item, gone) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: _options_schema(part, gone) for name, part in schema.items()}
    if "enum" in changed:
        changed["enum"] = _options_values(changed["enum"])
    if "properties" in changed:
        changed["properties"] = _options_fields(schema["properties"], gone)
    if "required" in changed:
        changed["required"] = [_options_name(name) for name in schema["required"]]
    return changed


def _options_values(values: list[Any]) -> list[Any]:
    kept = [value for value in values if value not in _GONE_VALUES]
    return [*_NEW_CONTRACT_TYPES, *kept] if "CALL" in kept else kept


def _unchanged(message: Message) -> Message:
    return message


V3 = Dialect(CALLS, NOT_SIMULATED, _unchanged, _unchanged)
OPTIONS = Dialect(
    {name: _options_call(name, call) for name, call in CALLS.items() if name in _SHARED},
    _NEW_NOT_SIMULATED,
    _as_v3_request,
    _as_options_message,
)
