"""What a Mastercard-like network speaks: ISO 8583:1987 in EBCDIC, bitmaps and bytes as they are.

Source: the facts file (danil/iso8583's table; the subelements of Shulyaka's parser, pismo's and
developer.network.ae's public pages). Where these differ, or say less than a reader must know:

- DE 32 and 33 have up to 11 digits, as in ISO 8583, not 6: one source, and a wider one reads both.
- DE 35 is a track 2, of digits and a separator, not any text. DE 28 to 31 and 97 are a sign and
  digits, not any nine or seventeen characters.
- DE 48 is bytes: its frame is EBCDIC, but subelements may hold anything. DE 96 is eight bytes,
  whatever they are, not eight digits.
- DE 48.61 may end after any flag; only the first two are named. DE 48.63 is DE 63 (9) and a date
  (6), as the facts have it; a trace id of an additional authorization is copied, not taken apart.
- DE 60 is 2 + 4 + the rest.
- A format error is answered with the number of the bad field, three digits, in DE 44.
"""

from iso8583.dialects.iso87_ascii import ASCII_1987
from iso8583.dialects.tables import ADDITIONAL_AMOUNTS, ORIGINAL_DATA, changed
from iso8583.emv import CHIP_DATA
from iso8583.spec import (
    AN,
    ANS,
    EBCDIC,
    RAW,
    B,
    Composite,
    Dialect,
    Field,
    N,
    Positional,
    Tagged,
    fixed,
    lll,
    rest,
)

EARLY = Positional(may_end_early=True)
ENTRIES = Tagged(tag=2, length=2)

PROCESSING_CODE = Composite(Positional(), (
    Field(1, "transaction_type", N, fixed(2)),
    Field(2, "account_from", N, fixed(2)),
    Field(3, "account_to", N, fixed(2)),
))  # fmt: skip

ENTRY_MODE = Composite(Positional(), (
    Field(1, "pan_entry", N, fixed(2)),
    Field(2, "pin_entry", N, fixed(1)),
))  # fmt: skip

REFERENCE = Composite(Positional(), (
    Field(1, "date_and_initiator", ANS, fixed(7)),
    Field(2, "sequence", ANS, fixed(5)),
))  # fmt: skip

MERCHANT = Composite(Positional(), (
    Field(1, "name", ANS, fixed(22)),
    Field(2, "space_1", ANS, fixed(1)),
    Field(3, "city", ANS, fixed(13)),
    Field(4, "space_2", ANS, fixed(1)),
    Field(5, "country", ANS, fixed(3)),  # or the state, at home
))  # fmt: skip

SECURITY = Composite(ENTRIES, (
    Field("01", "security_level_and_cardholder", N, fixed(3)),  # protocol, authentication, UCAF
))  # fmt: skip

CONDITIONS = Composite(EARLY, (
    Field(1, "partial_approval", N, fixed(1)),
    Field(2, "purchase_amount_only", N, fixed(1)),
    Field(3, "flag_3", N, fixed(1)),
    Field(4, "flag_4", N, fixed(1)),
    Field(5, "flag_5", N, fixed(1)),
))  # fmt: skip

TRACE_ID = Composite(Positional(), (
    Field(1, "network_reference", ANS, fixed(9)),
    Field(2, "settlement_date", ANS, fixed(6)),  # DE 15 and two blanks
))  # fmt: skip

# A transaction category, then subelements; in messages to the network it may be left out.
ADDITIONAL_DATA = Composite(
    Tagged(tag=2, length=2, lead=Field("tcc", "transaction_category", ANS, fixed(1))),
    (
        Field("20", "cardholder_verification", ANS, rest(1)),
        Field("42", "electronic_commerce",     B,   rest(99), secret=True, inside=SECURITY),
        Field("43", "ucaf",                    B,   rest(32), secret=True),
        Field("61", "conditions",              ANS, rest(99), inside=CONDITIONS),
        Field("63", "trace_id",                ANS, fixed(15), inside=TRACE_ID),
        Field("71", "on_behalf_results",       ANS, rest(99)),
        Field("74", "additional_processing",   ANS, rest(99)),
        Field("75", "fraud_score",             ANS, rest(99)),
        Field("77", "payment_type",            ANS, rest(3)),
        Field("80", "pin_service",             ANS, rest(2)),
        Field("82", "address_request",         ANS, rest(2)),
        Field("83", "address_result",          ANS, rest(1)),
        Field("84", "merchant_advice",         ANS, rest(2)),
        Field("87", "cvc_result",              ANS, rest(1)),
        Field("92", "cvc2",                    ANS, rest(3), secret=True),
    ),
)  # fmt: skip

ADVICE_REASON = Composite(EARLY, (
    Field(1, "reason", N, fixed(2)),
    Field(2, "detail", N, fixed(4)),
    Field(3, "text", ANS, rest(54)),
))  # fmt: skip

POS_DATA = Composite(EARLY, (
    Field(1,  "attendance",          N,   fixed(1)),
    Field(2,  "reserved_2",          N,   fixed(1)),
    Field(3,  "location",            N,   fixed(1)),
    Field(4,  "cardholder_presence", N,   fixed(1)),  # 4: a standing order
    Field(5,  "card_presence",       N,   fixed(1)),
    Field(6,  "capture",             N,   fixed(1)),
    Field(7,  "transaction_status",  N,   fixed(1)),
    Field(8,  "security",            N,   fixed(1)),
    Field(9,  "reserved_9",          N,   fixed(1)),
    Field(10, "cat_level",           N,   fixed(1)),
    Field(11, "input_capability",    N,   fixed(1)),
    Field(12, "life_cycle",          N,   fixed(2)),
    Field(13, "country",             N,   fixed(3)),
    Field(14, "postal_code",         ANS, rest(10)),
))  # fmt: skip

# The network's reference of a transaction; answers echo it as it came.
NETWORK_DATA = Composite(EARLY, (
    Field(1, "network", ANS, fixed(3)),
    Field(2, "reference", ANS, fixed(9)),
    Field(3, "more", ANS, rest(38)),
))  # fmt: skip

REPLACEMENT_AMOUNTS = Composite(Positional(), (
    Field(1, "amount", N, fixed(12)),
    Field(2, "amount_settlement", N, fixed(12)),
    Field(3, "amount_billing", N, fixed(12)),
    Field(4, "filler", N, fixed(6)),
))  # fmt: skip

# What DE 112 is made of differs by country, so all its tags are kept as they come.
NATIONAL_DATA = Composite(Tagged(tag=3, length=3), ())

MASTERCARD = Dialect(
    "Mastercard",
    *changed(
        ASCII_1987.table,
        Field(3,   "processing_code",        N,   fixed(6), inside=PROCESSING_CODE),
        Field(22,  "pos_entry_mode",         N,   fixed(3), inside=ENTRY_MODE),
        Field(37,  "rrn",                    ANS, fixed(12), inside=REFERENCE),
        Field(43,  "merchant_name_location", ANS, fixed(40), inside=MERCHANT),
        Field(48,  "additional_private",     B,   lll(999), secret=True, inside=ADDITIONAL_DATA),
        Field(49,  "currency",               N,   fixed(3)),
        Field(50,  "currency_settlement",    N,   fixed(3)),
        Field(51,  "currency_billing",       N,   fixed(3)),
        Field(54,  "additional_amounts",     ANS, lll(120), inside=ADDITIONAL_AMOUNTS),
        Field(55,  "chip_data",              B,   lll(255), secret=True, inside=CHIP_DATA),
        Field(56,  "payment_account",        AN,  lll(37), secret=True),
        Field(60,  "advice_reason",          ANS, lll(60), inside=ADVICE_REASON),
        Field(61,  "pos_data",               ANS, lll(26), inside=POS_DATA),
        Field(62,  "intermediate_data",      ANS, lll(100), secret=True),
        Field(63,  "network_data",           ANS, lll(50), inside=NETWORK_DATA),
        Field(90,  "original_data",          N,   fixed(42), inside=ORIGINAL_DATA),
        Field(93,  "response_indicator",     N,   fixed(5)),
        Field(95,  "replacement_amounts",    N,   fixed(42), inside=REPLACEMENT_AMOUNTS),
        Field(112, "national_data",          B,   lll(782), secret=True, inside=NATIONAL_DATA),
        Field(120, "record_data",            ANS, lll(999), secret=True),
        Field(121, "authorizing_agent",      N,   lll(6)),
        Field(123, "receipt_text",           ANS, lll(512), secret=True),
        Field(124, "member_data",            ANS, lll(299), secret=True),
        Field(125, "new_pin_block",          B,   fixed(8), secret=True),
        Field(126, "switch_data",            ANS, lll(100), secret=True),
        Field(127, "processor_data",         ANS, lll(100), secret=True),
    ),
    mti=EBCDIC, bitmap=RAW, lengths=EBCDIC, numbers=EBCDIC, binary=RAW, text=EBCDIC,
)  # fmt: skip
