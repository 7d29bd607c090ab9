"""What each call of the API is, as far as the connection needs to know.

Two questions decide what becomes of a request when its connection breaks: which call is it, and is
it safe to ask again? A call that is not in the table counts as unsafe: better to report that its
outcome is unknown than to repeat a purchase.

`entry` has all that is known of a call: what Deriv's schemas say is in `_published`, which is
generated; what they do not say is in the tables below, which are made by hand.
"""

import functools
from collections.abc import Mapping
from typing import Any, Final

import attrs

from derivtrio.api._published import OPTIONS, V3

#: Calls that only read, or that change nothing but the connection itself.
READS: Final = frozenset(
    "account_list active_symbols app_get app_list app_markup_details app_markup_statistics"
    " asset_index authorize auto_get auto_list auto_list_strategies balance connect_status"
    " contract_update_history contracts_for contracts_for_company contracts_list copytrading_list"
    " copytrading_statistics crypto_config crypto_estimations economic_calendar exchange_rates"
    " financial_assessment_questions get_account_status get_financial_assessment get_limits"
    " get_self_exclusion get_settings kyc_auth_status landing_company landing_company_details"
    " login_history mt5_get_settings mt5_login_list oauth_apps p2p_advert_info p2p_advert_list"
    " p2p_advertiser_adverts p2p_advertiser_info p2p_advertiser_list p2p_country_list"
    " p2p_order_info p2p_order_list p2p_payment_methods p2p_ping p2p_settings"
    " partner_account_creation_status partner_accounts partner_settings payment_methods"
    " paymentagent_details paymentagent_list payout_currencies ping portfolio profit_table"
    " proposal proposal_open_contract reality_check residence_list statement states_list ticks"
    " ticks_batch ticks_history time tin_validations trading_durations trading_platform_status"
    " trading_servers trading_times transaction website_config website_status".split()
)

#: Calls that change something on the server, and must never be written twice.
WRITES: Final = frozenset(
    "api_token app_delete app_register app_update auto_pause auto_resume auto_start auto_stop buy"
    " buy_contract_for_multiple_accounts cancel cashier confirm_email connect_copy"
    " contract_update copy_start copy_stop document_upload exchange_verification_code forget"
    " forget_all get_third_party_redirect logout mt5_deposit mt5_new_account mt5_password_change"
    " mt5_password_check mt5_password_reset mt5_withdrawal new_account_check_duplicate"
    " new_account_maltainvest new_account_real new_account_virtual new_account_wallet"
    " new_account_wallet_and_trading new_partner_account p2p_advert_create p2p_advert_update"
    " p2p_advertiser_create p2p_advertiser_payment_methods p2p_advertiser_relations"
    " p2p_advertiser_update p2p_chat_create p2p_order_cancel p2p_order_confirm p2p_order_create"
    " p2p_order_dispute p2p_order_review partner_account_creation partner_settings_update"
    " partner_toolkit paymentagent_create paymentagent_transfer paymentagent_withdraw"
    " paymentagent_withdraw_justification revoke_oauth_app sell sell_contract_for_multiple_accounts"
    " sell_expired set_account_currency set_financial_assessment set_self_exclusion set_settings"
    " tnc_approval topup_virtual trading_platform_investor_password_reset"
    " trading_platform_password_reset transfer_between_accounts unsubscribe_email"
    " verify_email".split()
)

#: What the schemas say, by generation and call.
PUBLISHED: Final[Mapping[str, Mapping[str, Any]]] = {"v3": V3, "options": OPTIONS}

#: Calls that trade, and whose outcome can be found out afterwards.
TRADES: Final = frozenset({"buy", "cancel", "contract_update", "sell"})

#: The calls that change the account of a connection.
CHANGES: Final = ("authorize", "logout")

#: Calls that take `subscribe: 1` and then go on sending.
STREAMS: Final = frozenset(
    name
    for calls in PUBLISHED.values()
    for name, call in calls.items()
    if not call["takes"].keys().isdisjoint(("subscribe", "subscribe!"))
)

#: The streams that are about an account. All others are the same for everybody.
PERSONAL_STREAMS: Final = frozenset(
    name
    for calls in PUBLISHED.values()
    for name in STREAMS.intersection(calls)
    if calls[name].get("needs")
)

#: The lengths that a candle can have, in seconds.
GRANULARITIES: Final = frozenset(
    {60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400}
)

NAMES: Final = READS | WRITES

#: Rate limits: which calls count in which budgets. v3 says so in the words of its
#: `website_status.api_call_limits`, the Options API in Deriv's page on limits.
GROUPS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "v3": {
        "ping": ("ping",),
        "portfolio": ("outcome",),
        "statement": ("outcome",),
        "proposal": ("outcome", "pricing"),
        "proposal_open_contract": ("pricing",),
    },
    "options": {
        "ping": ("ping",),
        "proposal": ("trading",),
        "proposal_open_contract": ("trading",),
        "buy": ("trading",),
        "sell": ("trading",),
        "balance": ("account",),
        "statement": ("account",),
        "portfolio": ("report",),
        "profit_table": ("report",),
    },
}

#: What `forget_all` calls a call's streams, where that is not the call's own name.
_FORGET_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "buy": ("proposal_open_contract",),
    "p2p_advert_info": ("p2p_advert",),
    "p2p_advertiser_create": ("p2p_advertiser",),
    "p2p_advertiser_info": ("p2p_advertiser",),
    "p2p_order_create": ("p2p_order",),
    "p2p_order_info": ("p2p_order",),
    "p2p_order_list": ("p2p_order",),
    "ticks_history": ("ticks", "candles"),
}

#: Streams that it takes no type for.
_UNFORGETTABLE: Final = frozenset({"auto_get", "auto_start", "exchange_rates", "ticks_batch"})

#: What a stream goes on with, where that is not what it begins with.
_FOLLOWS: Final[Mapping[str, tuple[str, ...]]] = {
    "buy": ("proposal_open_contract",),
    "ticks_history": ("tick", "ohlc"),
}

#: Members that any request can have.
_COMMON: Final = frozenset({"loginid", "passthrough", "req_id", "subscribe"})

#: A call of its own, and an argument of six other calls.
_ARGUMENT_TOO: Final = "landing_company"


@attrs.frozen(eq=False, repr=False)
class Entry:
    """What is known of one call of one generation of the API.

    Attributes:
        scopes: it needs a token that has one of these; empty where it needs none.
        answers: the message types of its reply.
        streams: the message types with which it goes on when it is subscribed to; empty where
            it cannot be.
        forget_types: by which of its types `forget_all` ends these streams.
        safe: whether it may be asked again after its reply was lost.
        groups: the budgets that it counts in, when requests are limited.
        takes: the members of the request, in the notation of `_published`.

    """

    name: str
    generation: str
    scopes: tuple[str, ...]
    answers: tuple[str, ...]
    streams: tuple[str, ...]
    forget_types: tuple[str, ...]
    safe: bool
    groups: tuple[str, ...]
    takes: Mapping[str, Any] = attrs.field(repr=False)


def entry(name: str, generation: str = "v3") -> Entry | None:
    """Return what is known of the call *name*; None if that generation does not have it."""
    return _entry(name, generation) if name in PUBLISHED.get(generation, {}) else None


@functools.cache
def _entry(name: str, generation: str) -> Entry:
    found = PUBLISHED[generation][name]
    answers = found.get("answers", (name,))
    streams = _FOLLOWS.get(name, answers) if name in STREAMS else ()
    if streams != answers:
        answers = tuple(answer for answer in answers if answer not in streams)
    forgotten = streams and name not in _UNFORGETTABLE
    return Entry(
        name=name,
        generation=generation,
        scopes=found.get("needs", ()),
        answers=answers,
        streams=streams,
        forget_types=_FORGET_TYPES.get(name, (name,)) if forgotten else (),
        safe=is_safe(name),
        groups=groups_of(name, generation),
        takes=found["takes"],
    )


def generations_of(name: str) -> tuple[str, ...]:
    """Return the generations that have the call."""
    return tuple(generation for generation, calls in PUBLISHED.items() if name in calls)


def groups_of(name: str, generation: str = "v3") -> tuple[str, ...]:
    """Return the budgets that the call counts in."""
    return GROUPS.get(generation, {}).get(name, ("general",))


def name_of(request: Mapping[str, Any]) -> str:
    """Return the name of the call that *request* makes; of an unknown call, its first member.

    Raises:
        ValueError: it makes none, or more than one.

    """
    names = NAMES.intersection(request)
    if len(names) > 1:
        names -= {_ARGUMENT_TOO}
    if len(names) > 1:
        text = f"a request makes one call; this one names {' and '.join(sorted(names))}"
        raise ValueError(text)
    for name in names or request:
        if name not in ("req_id", "passthrough", "subscribe"):
            return name
    text = 'a request names the call it makes, as in {"ping": 1}'
    raise ValueError(text)


def is_safe(name: str) -> bool:
    """Return whether the call may be asked again after its reply was lost."""
    return name in READS


def is_safe_request(name: str, request: Mapping[str, Any]) -> bool:
    """Return whether *request*, which makes the call *name*, may be made again.

    A call that is newer than this table may have an argument with the name of a known one, such as
    `balance`. So where *name* does not come first, what does must be an argument of it.
    """
    if name not in READS:
        return False
    if next(iter(request), name) == name:  # the usual case is quick
        return True
    first = next((member for member in request if member not in _COMMON), name)
    return first == name or first in _arguments(name)


@functools.cache
def _arguments(name: str) -> frozenset[str]:
    """Return the members that a request for the call *name* can have, in either generation."""
    found = (calls[name]["takes"] for calls in PUBLISHED.values() if name in calls)
    return frozenset(member.rstrip("!*") for takes in found for member in takes)


def may_stream(name: str) -> bool:
    """Return whether the call can be subscribed to; an unknown call may."""
    return name in STREAMS or name not in NAMES
