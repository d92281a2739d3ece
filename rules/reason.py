"""Every answer the engine can give, by its own name.

Networks speak in response codes; we do not. `authz/wire/response_codes.py` turns
a reason into DE 39 at the border, and asserts at import that it knows them all.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a request was answered as it was, in the order in which `decide` looks.

    Neighbours further down are asked only if those above had no objection, so a
    lost card that has also expired is a lost card.
    """

    APPROVED = "approved"

    # The message itself. Found at the border, before anything is decided.
    FORMAT_ERROR = "format_error"
    NOT_SIGNED_ON = "not_signed_on"
    UNSUPPORTED = "unsupported"  # a well-formed request for what we do not do
    TOO_OLD = "too_old"  # DE 7 lies outside the answer window: a repeat could no longer be told
    DUPLICATE = "duplicate"  # the id of an earlier request with another content

    # The card and its account.
    CARD_UNKNOWN = "card_unknown"
    CARD_CLOSED = "card_closed"
    CARD_LOST = "card_lost"
    CARD_STOLEN = "card_stolen"
    CARD_EXPIRED = "card_expired"
    EXPIRY_MISMATCH = "expiry_mismatch"  # DE 14 is not the expiry of this card
    CARD_INACTIVE = "card_inactive"
    CARD_FROZEN = "card_frozen"
    ACCOUNT_CLOSED = "account_closed"
    ACCOUNT_FROZEN = "account_frozen"

    # Lists: what is sanctioned first, then the most particular entry.
    SANCTIONED_COUNTRY = "sanctioned_country"
    CARD_BLOCKED = "card_blocked"
    ACCOUNT_BLOCKED = "account_blocked"
    DEVICE_BLOCKED = "device_blocked"
    IP_BLOCKED = "ip_blocked"
    TERMINAL_BLOCKED = "terminal_blocked"
    MERCHANT_BLOCKED = "merchant_blocked"
    ACQUIRER_BLOCKED = "acquirer_blocked"
    BIN_BLOCKED = "bin_blocked"
    MCC_BLOCKED = "mcc_blocked"  # or by the card's own controls, which are asked after the lists
    COUNTRY_BLOCKED = "country_blocked"

    # Where and for what.
    CHANNEL_BLOCKED = "channel_blocked"
    CURRENCY_MISMATCH = "currency_mismatch"
    RATE_UNAVAILABLE = "rate_unavailable"  # none for its currency, or none that is young enough
    TRANSACTION_LIMIT = "transaction_limit"
    CHECK_UNAVAILABLE = "check_unavailable"  # a check that must be answered was not, in its time
    SUSPECTED_FRAUD = "suspected_fraud"
    RULE_DECLINED = "rule_declined"  # by a rule that gives no other reason
    REFERRED = "referred"  # by a rule, or a check without an answer: a person is to look at it

    # What moves under us: judged by the hot state, in one step with the hold.
    REVERSED_BEFORE = "reversed_before"  # its reversal came first
    DAILY_COUNT_LIMIT = "daily_count_limit"
    DAILY_AMOUNT_LIMIT = "daily_amount_limit"
    COUNT_LIMIT = "count_limit"  # of the policy, in a window of its own
    AMOUNT_LIMIT = "amount_limit"
    MERCHANTS_LIMIT = "merchants_limit"  # so many different ones
    COUNTRIES_LIMIT = "countries_limit"
    DECLINE_LIMIT = "decline_limit"  # declined too often before
    FUNDS_INSUFFICIENT = "funds_insufficient"

    # No verdict at all. Never stored, never replayed: a repeat is decided afresh.
    UNAVAILABLE = "unavailable"
    MALFUNCTION = "malfunction"


APPROVED, REFERRED = Reason.APPROVED, Reason.REFERRED  # by names of their own: see rules/facts.py


# Answers that say "ask again", not "no".
NOT_A_VERDICT = frozenset({Reason.UNAVAILABLE, Reason.MALFUNCTION})


class Answer(StrEnum):
    """What the cardholder feels; the three words of the mission."""

    APPROVED = "approved"
    DECLINED = "declined"
    REFERRED = "referred"


def answer_of(reason: Reason) -> Answer:
    """A reason as one of the three answers."""
    if reason is REFERRED:
        return Answer.REFERRED
    return Answer.APPROVED if reason is APPROVED else Answer.DECLINED
