"""What each call of the API is, as far as the connection needs to know.

Two questions decide what becomes of a request when its connection breaks: which call is it, and is
it safe to ask again? A call that is not in the table counts as unsafe: better to report that its
outcome is unknown than to repeat a purchase.

Names and streaming flags are those of Deriv's published schemas of both generations.
"""

from collections.abc import Mapping
from typing import Any, Final

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

#: Calls that take `subscribe: 1` and then go on sending.
STREAMS: Final = frozenset(
    "auto_get auto_start balance buy crypto_estimations exchange_rates p2p_advert_info"
    " p2p_advertiser_create p2p_advertiser_info p2p_order_create p2p_order_info p2p_order_list"
    " p2p_settings proposal proposal_open_contract ticks ticks_batch ticks_history transaction"
    " website_status".split()
)

#: The lengths that a candle can have, in seconds.
GRANULARITIES: Final = frozenset(
    {60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400}
)

NAMES: Final = READS | WRITES

#: A call of its own, and an argument of six other calls.
_ARGUMENT_TOO: Final = "landing_company"


def name_of(request: Mapping[str, Any]) -> str:
    """Return the name of the call that *request* makes; of an unknown call, its first member.

    Raises:
        ValueError: it makes none, or more than one.

    """
    names = [member for member in request if member in NAMES]
    if len(names) > 1:
        names = [name for name in names if name != _ARGUMENT_TOO]
    if len(names) > 1:
        text = f"a request makes one call; this one names {' and '.join(sorted(names))}"
        raise ValueError(text)
    members = names or [m for m in request if m not in ("req_id", "passthrough", "subscribe")]
    if not members:
        text = 'a request names the call it makes, as in {"ping": 1}'
        raise ValueError(text)
    return members[0]


def is_safe(name: str) -> bool:
    """Return whether the call may be asked again after its reply was lost."""
    return name in READS


def may_stream(name: str) -> bool:
    """Return whether the call can be subscribed to; an unknown call may."""
    return name in STREAMS or name not in NAMES
