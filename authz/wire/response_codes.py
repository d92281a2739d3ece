"""A reason as DE 39, for networks that speak the generic 1987 codes.

Codes differ by network and change with time, so they are data: one table a network,
to which the engine's own reasons are translated at the border.
Source: the response code lists gathered in docs/response-codes.md.
"""

from rules.reason import Reason

GENERIC_1987: dict[Reason, str] = {
    Reason.APPROVED: "00",
    Reason.FORMAT_ERROR: "30",
    Reason.NOT_SIGNED_ON: "30",
    Reason.UNSUPPORTED: "12",
    Reason.TOO_OLD: "12",
    Reason.DUPLICATE: "94",
    Reason.CARD_UNKNOWN: "14",
    Reason.CARD_CLOSED: "14",
    Reason.CARD_LOST: "41",
    Reason.CARD_STOLEN: "43",
    Reason.CARD_EXPIRED: "54",
    Reason.EXPIRY_MISMATCH: "54",
    Reason.CARD_INACTIVE: "62",
    Reason.CARD_FROZEN: "62",
    Reason.ACCOUNT_CLOSED: "14",
    Reason.ACCOUNT_FROZEN: "62",
    Reason.CARD_BLOCKED: "62",
    Reason.MERCHANT_BLOCKED: "57",
    Reason.COUNTRY_BLOCKED: "57",
    Reason.MCC_BLOCKED: "57",
    Reason.CURRENCY_MISMATCH: "57",
    Reason.TRANSACTION_LIMIT: "61",
    Reason.REVERSED_BEFORE: "05",
    Reason.DAILY_COUNT_LIMIT: "65",
    Reason.DAILY_AMOUNT_LIMIT: "61",
    Reason.FUNDS_INSUFFICIENT: "51",
    Reason.UNAVAILABLE: "91",
    Reason.MALFUNCTION: "96",
}

assert GENERIC_1987.keys() == set(Reason), "every reason has its code"
assert all(len(code) == 2 for code in GENERIC_1987.values())
