"""A reason as DE 39, for each network: data behind the engine's own reasons.

Codes differ by network and change with time, so each table has a version, and they are all
here. 1987's generic codes are the base; a network is told by what it says otherwise, so a
reason that is new has a code everywhere as soon as it has one in GENERIC_1987 and ISO_1993.

Source: the public lists gathered in docs/response-codes.md, which shows this table.
"""

from msgspec import Struct

from rules.reason import APPROVED, Reason

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
    Reason.SANCTIONED_COUNTRY: "93",
    Reason.CARD_BLOCKED: "62",
    Reason.ACCOUNT_BLOCKED: "62",
    Reason.DEVICE_BLOCKED: "57",
    Reason.IP_BLOCKED: "57",
    Reason.TERMINAL_BLOCKED: "58",
    Reason.MERCHANT_BLOCKED: "57",
    Reason.ACQUIRER_BLOCKED: "57",
    Reason.BIN_BLOCKED: "62",
    Reason.MCC_BLOCKED: "57",
    Reason.COUNTRY_BLOCKED: "57",
    Reason.CHANNEL_BLOCKED: "57",
    Reason.CURRENCY_MISMATCH: "57",
    Reason.RATE_UNAVAILABLE: "57",
    Reason.TRANSACTION_LIMIT: "61",
    Reason.CHECK_UNAVAILABLE: "05",
    Reason.SUSPECTED_FRAUD: "59",
    Reason.RULE_DECLINED: "05",
    Reason.REFERRED: "01",
    Reason.REVERSED_BEFORE: "05",
    Reason.DAILY_COUNT_LIMIT: "65",
    Reason.DAILY_AMOUNT_LIMIT: "61",
    Reason.COUNT_LIMIT: "65",
    Reason.AMOUNT_LIMIT: "61",
    Reason.MERCHANTS_LIMIT: "65",
    Reason.COUNTRIES_LIMIT: "65",
    Reason.DECLINE_LIMIT: "65",
    Reason.FUNDS_INSUFFICIENT: "51",
    Reason.UNAVAILABLE: "91",
    Reason.MALFUNCTION: "96",
}

# What Visa says otherwise: a card that may not be used yet or now, an account that is closed.
VISA = {
    Reason.CARD_CLOSED: "46",
    Reason.ACCOUNT_CLOSED: "46",
    Reason.CARD_INACTIVE: "78",
    Reason.CARD_FROZEN: "78",
    Reason.ACCOUNT_FROZEN: "78",
    Reason.CARD_BLOCKED: "78",
    Reason.ACCOUNT_BLOCKED: "78",
    Reason.BIN_BLOCKED: "78",
}

# Mastercard's lists know no answer for what the law forbids.
MASTERCARD = {Reason.SANCTIONED_COUNTRY: "57"}

# The action codes of 1993.
ISO_1993: dict[Reason, str] = {
    Reason.APPROVED: "000",
    Reason.FORMAT_ERROR: "904",
    Reason.NOT_SIGNED_ON: "904",
    Reason.UNSUPPORTED: "902",
    Reason.TOO_OLD: "902",
    Reason.DUPLICATE: "913",
    Reason.CARD_UNKNOWN: "111",
    Reason.CARD_CLOSED: "111",
    Reason.CARD_LOST: "208",
    Reason.CARD_STOLEN: "209",
    Reason.CARD_EXPIRED: "101",
    Reason.EXPIRY_MISMATCH: "101",
    Reason.CARD_INACTIVE: "125",
    Reason.CARD_FROZEN: "104",
    Reason.ACCOUNT_CLOSED: "111",
    Reason.ACCOUNT_FROZEN: "104",
    Reason.SANCTIONED_COUNTRY: "124",
    Reason.CARD_BLOCKED: "104",
    Reason.ACCOUNT_BLOCKED: "104",
    Reason.DEVICE_BLOCKED: "119",
    Reason.IP_BLOCKED: "119",
    Reason.TERMINAL_BLOCKED: "120",
    Reason.MERCHANT_BLOCKED: "119",
    Reason.ACQUIRER_BLOCKED: "119",
    Reason.BIN_BLOCKED: "104",
    Reason.MCC_BLOCKED: "119",
    Reason.COUNTRY_BLOCKED: "119",
    Reason.CHANNEL_BLOCKED: "119",
    Reason.CURRENCY_MISMATCH: "119",
    Reason.RATE_UNAVAILABLE: "119",
    Reason.TRANSACTION_LIMIT: "121",
    Reason.CHECK_UNAVAILABLE: "100",
    Reason.SUSPECTED_FRAUD: "102",
    Reason.RULE_DECLINED: "100",
    Reason.REFERRED: "107",
    Reason.REVERSED_BEFORE: "100",
    Reason.DAILY_COUNT_LIMIT: "123",
    Reason.DAILY_AMOUNT_LIMIT: "121",
    Reason.COUNT_LIMIT: "123",
    Reason.AMOUNT_LIMIT: "121",
    Reason.MERCHANTS_LIMIT: "123",
    Reason.COUNTRIES_LIMIT: "123",
    Reason.DECLINE_LIMIT: "123",
    Reason.FUNDS_INSUFFICIENT: "116",
    Reason.UNAVAILABLE: "911",
    Reason.MALFUNCTION: "909",
}


class Codes(Struct, frozen=True):
    """One network's table."""

    version: str  # what it was drawn from, and when
    of: dict[Reason, str]
    partial: str  # an approval of less than was asked for
    account_check: str = ""  # of a zero amount that is approved, where it has a code of its own
    names_bad_field: bool = False  # a format error says in DE 44 which element is bad
    # Of what was answered elsewhere, and is told in an advice: what counts as an approval.
    approvals: frozenset[str] = frozenset({"", "00", "08", "10", "11", "16"})
    # Of what is not asked but told, by class and function of the MTI: accepted, not approved.
    accepted: dict[str, str] = {}

    @property
    def all(self) -> list[str]:
        """Whatever DE 39 may have, each once."""
        also = (self.partial, self.account_check, *self.accepted.values())
        return sorted({*self.of.values(), *also} - {""})

    def code(self, reason: Reason, mti: str, is_account_check: bool) -> str:
        """DE 39 of the answer to a message of this MTI."""
        if reason is APPROVED:
            if is_account_check and self.account_check:
                return self.account_check
            return self.accepted.get(mti[1:3]) or self.of[reason]
        return self.of[reason]


ACCEPTED_1993 = {
    "12": "900", "22": "900", "30": "300", "32": "300", "40": "400", "42": "400", "50": "500",
    "52": "500", "60": "600", "62": "600", "80": "800", "82": "800",
}  # fmt: skip

CODES: dict[str, Codes] = {
    "generic": Codes("ISO 8583:1987", GENERIC_1987, "10"),
    "visa": Codes(
        "public lists of 2025-10",
        GENERIC_1987 | VISA,
        "10",
        account_check="85",
        approvals=frozenset({"", "00", "10", "11", "85"}),
    ),
    "mastercard": Codes(
        "public lists of 2025-10",
        GENERIC_1987 | MASTERCARD,
        "10",
        account_check="85",
        names_bad_field=True,
        approvals=frozenset(
            {"", "00", "08", "10", "85", "87"}
        ),  # 87: the purchase, without its cash
    ),
    "postilion": Codes("ISO 8583:1987", GENERIC_1987, "10"),  # no list of its own was found
    "iso93": Codes("ISO 8583:1993", ISO_1993, "002", accepted=ACCEPTED_1993),
}

for name, codes in CODES.items():
    assert codes.of.keys() == set(Reason), f"{name}: every reason has its code"
    lengths = {*map(len, (*codes.of.values(), codes.partial, *codes.accepted.values()))}
    assert len(lengths) == 1, f"{name}: codes of different lengths"
