"""Messages between the Options API and v3: requests are translated to v3, replies from v3.

The differences are data: one tuple of `PayloadChange`s for each `msg_type`. Source: the published
schemas of both generations.
"""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from derivtrio.simulator.dialects.options_calls import OPTIONS_SYMBOL, V3_SYMBOL
from derivtrio.simulator.protocol.envelope import Message, TranslatedRequest


@attrs.frozen
class PayloadChange:
    """How the objects at *path* inside a payload differ from v3's.

    *renamed* maps a new name to v3's names; the first one present gives the value. *amounts*
    become strings with two decimals, and *texts* become strings.
    """

    path: tuple[str, ...] = ()
    renamed: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    dropped: frozenset[str] = frozenset()
    amounts: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    added: Message = attrs.field(factory=dict)

    def applied_to(self, payload: Any) -> Any:
        """Return a copy of *payload* with this change."""
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


_RENAMED_SYMBOL = {OPTIONS_SYMBOL: (V3_SYMBOL,)}

#: The differences in the payload of each `msg_type`.
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
                OPTIONS_SYMBOL: ("underlying",),
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


def v3_request(request: Message) -> Message:
    """Return *request* translated to v3. `loginid` stays: there is one account."""
    translated = TranslatedRequest(_v3_names(request))
    translated.original = request.original if isinstance(request, TranslatedRequest) else request
    if isinstance(parameters := request.get("parameters"), dict):
        translated["parameters"] = _v3_names(parameters)
    return translated


def _v3_names(members: Message) -> Message:
    return {V3_SYMBOL if name == OPTIONS_SYMBOL else name: value for name, value in members.items()}


def options_message(message: Message) -> Message:
    """Return the v3 *message* as the Options API sends it.

    The Options API repeats `passthrough` in `echo_req` only.
    """
    kind = message.get("msg_type", "")
    changed = {name: value for name, value in message.items() if name != "passthrough"}
    for change in _PAYLOADS.get(kind, ()) if kind in changed else ():
        changed[kind] = change.applied_to(changed[kind])
    return changed


def _at(value: Any, path: tuple[str, ...], change: Callable[[Message], Message]) -> Any:
    """Return *value* with *change* made to the objects at *path*; lists on the way are entered."""
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
