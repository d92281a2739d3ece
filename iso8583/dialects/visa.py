"""What a Visa-like network speaks (BASE I): digits packed, texts in EBCDIC, one byte of length.

A length counts digits of a number, characters of a text and bytes of bytes. Bitmaps are raw,
also the small ones inside DE 62, 63 and 126. The header in front is the framing's.

Source: the facts file (jPOS's base1 and its Base1Packager; Shulyaka's parser; moov's pull
requests 379 and 457; pismo's public pages). Where these differ, or say less than one must know:

- An odd number of digits has a zero in front; of track 2, as captured live, an F behind. Either
  is read in the fields whose length is variable, and in DE 62.2.
- Text without a stated character set: EBCDIC in DE 102 and 103, bytes as they are in DE 46 to 48,
  56 to 58 and in the reserved and private fields, so that nothing is refused for its letters.
- The lower maxima of those (6, 59, 99 …) differ from list to list; we take what one byte counts.
- The sign of DE 28 to 31 and 97 is one EBCDIC character before packed digits.
- DE 44 and 60: the facts name some positions. What stands between is from the fields' well-known
  order, which fits their total length (12 in DE 60; the CAVV result is the 15th of DE 44).
- DE 62.14 is EBCDIC, as in the one list that has it. 62.18 and 19 are left out: no source says
  what they are, and a guess would shift all behind. The same goes for what is not listed of 63
  and 126; the sizes of 63.6, 63.11 and 63.19 are not confirmed.
- DE 123 is datasets, as in the newer list, not address data in EBCDIC; 104 and 116 too.
- No third bitmap: DE 65 is refused, and with it the fields above 128.
"""

from iso8583.dialects.iso87_ascii import ASCII_1987
from iso8583.dialects.tables import ADDITIONAL_AMOUNTS, ORIGINAL_DATA, changed
from iso8583.emv import CHIP_DATASETS
from iso8583.spec import (
    ANS,
    BCD,
    EBCDIC,
    RAW,
    B,
    Bitmapped,
    Composite,
    Dialect,
    Field,
    N,
    Pad,
    Positional,
    Tagged,
    Z,
    fixed,
    l1,
    lll,
    rest,
)

EARLY = Positional(may_end_early=True)

RESULTS = Composite(EARLY, (
    Field(1,  "response_source",            ANS, fixed(1)),
    Field(2,  "address_result",             ANS, fixed(1)),
    Field(3,  "reserved_3",                 ANS, fixed(1)),
    Field(4,  "reserved_4",                 ANS, fixed(1)),
    Field(5,  "cvv_result",                 ANS, fixed(1)),
    Field(6,  "diversion_level",            ANS, fixed(2)),
    Field(7,  "diversion_reason",           ANS, fixed(1)),
    Field(8,  "card_authentication_result", ANS, fixed(1)),
    Field(9,  "reserved_9",                 ANS, fixed(1)),
    Field(10, "cvv2_result",                ANS, fixed(1)),
    Field(11, "original_response_code",     ANS, fixed(2)),
    Field(12, "check_settlement",           ANS, fixed(1)),
    Field(13, "cavv_result",                ANS, fixed(1)),
    Field(14, "more",                       ANS, rest(10)),
))  # fmt: skip

POS_INFORMATION = Composite(Positional(may_end_early=True, half_bytes=True), (
    Field(1,  "terminal_type",              N, fixed(1)),
    Field(2,  "entry_capability",           N, fixed(1)),
    Field(3,  "chip_condition",             N, fixed(1)),
    Field(4,  "special_condition",          N, fixed(1)),
    Field(5,  "merchant_group",             N, fixed(2)),
    Field(6,  "chip_transaction",           N, fixed(1)),
    Field(7,  "authentication_reliability", N, fixed(1)),
    Field(8,  "moto_eci",                   N, fixed(2)),
    Field(9,  "cardholder_id_method",       N, fixed(1)),
    Field(10, "partial_authorization",      N, fixed(1)),
))  # fmt: skip

PAYMENT_SERVICE = Composite(Bitmapped(8), (
    Field(1,  "authorization_characteristics", ANS, fixed(1)),
    Field(2,  "transaction_id",                N,   fixed(15), lenient=True),
    Field(3,  "validation_code",               ANS, fixed(4)),
    Field(4,  "market_data",                   ANS, fixed(1)),
    Field(5,  "duration",                      N,   fixed(2)),
    Field(6,  "prestigious_property",          ANS, fixed(1)),
    Field(7,  "purchase_id",                   ANS, fixed(26)),
    Field(8,  "check_date",                    N,   fixed(6)),
    Field(9,  "no_show",                       ANS, fixed(1)),
    Field(10, "extra_charges",                 N,   fixed(6)),
    Field(11, "clearing_sequence_number",      N,   fixed(2)),
    Field(12, "clearing_sequence_count",       N,   fixed(2)),
    Field(13, "restricted_ticket",             N,   fixed(1)),
    Field(14, "total_authorized",              ANS, fixed(12)),
    Field(15, "requested_payment_service",     ANS, fixed(1)),
    Field(16, "chargeback_rights",             ANS, fixed(2)),
    Field(17, "gateway_transaction_id",        ANS, fixed(15)),
    Field(20, "merchant_verification_value",   N,   fixed(10)),
    Field(21, "risk_score",                    ANS, fixed(4)),
    Field(22, "risk_condition",                ANS, fixed(6)),
    Field(23, "product_id",                    ANS, fixed(2)),
    Field(24, "program_id",                    ANS, fixed(6)),
    Field(25, "spend_qualified",               ANS, fixed(1)),
    Field(26, "account_status",                ANS, fixed(1)),
))  # fmt: skip

NETWORK_DATA = Composite(Bitmapped(3), (
    Field(1,  "network_id",     N,   fixed(4)),
    Field(2,  "time_limit",     N,   fixed(4)),
    Field(3,  "message_reason", N,   fixed(4)),  # 2501 to 2503: why a reversal
    Field(4,  "stand_in_reason", N,  fixed(4)),
    Field(6,  "flags",          ANS, fixed(7)),
    Field(11, "reimbursement",  ANS, fixed(1)),
    Field(19, "fee_program",    ANS, fixed(3)),
))  # fmt: skip

CVV2_REQUEST = Composite(Positional(), (
    Field(1, "presence", ANS, fixed(1)),
    Field(2, "response_type", ANS, fixed(1)),
    Field(3, "value", ANS, fixed(4), secret=True),
))  # fmt: skip

PRIVATE_USE = Composite(Bitmapped(8), (
    Field(1,  "customer_name",     ANS, fixed(25), secret=True),
    Field(2,  "customer_address",  ANS, fixed(57), secret=True),
    Field(3,  "biller_address",    ANS, fixed(57)),
    Field(4,  "biller_telephone",  ANS, fixed(18)),
    Field(5,  "process_by_date",   ANS, fixed(6)),
    Field(8,  "xid",               B,   fixed(20)),
    Field(9,  "cavv",              B,   fixed(20), secret=True),
    Field(10, "cvv2_request_data", ANS, fixed(6), secret=True, inside=CVV2_REQUEST),
    Field(13, "pos_environment",   ANS, fixed(1)),  # R recurring, C card on file
))  # fmt: skip

REPLACEMENT_AMOUNTS = Composite(Positional(), (
    Field(1, "amount", N, fixed(12)),
    Field(2, "amount_billing", N, fixed(12)),
    Field(3, "transaction_fee", ANS, fixed(9)),
    Field(4, "billing_fee", ANS, fixed(9)),
))  # fmt: skip

# Datasets of an id, two bytes of length and tags; which ids mean what differs by program, so
# each is kept as it comes.
DATASETS = Composite(Tagged(tag=1, length=2, coding=RAW), ())

PRIVATE = (
    Field(number, f"private_{number}", B, l1(255), secret=True)
    for number in (46, 47, 48, 56, 57, 58, *range(105, 116), *range(117, 123), 124, 125, 127)
)

VISA = Dialect(
    "Visa",
    *changed(
        ASCII_1987.table,
        *PRIVATE,
        Field(2,   "pan",                     N,   l1(19), secret=True, lenient=True),
        Field(22,  "pos_entry_mode",          N,   fixed(4)),
        Field(32,  "acquirer_id",             N,   l1(11), lenient=True),
        Field(33,  "forwarder_id",            N,   l1(11), lenient=True),
        Field(34,  "pan_extended",            N,   l1(28), secret=True, lenient=True),
        Field(35,  "track_2",                 Z,   l1(37), secret=True, pad=Pad.RIGHT_F,
              lenient=True),
        Field(36,  "track_3",                 N,   lll(104), secret=True, prefix=BCD,
              lenient=True),
        Field(44,  "additional_response",     ANS, l1(25), inside=RESULTS),
        Field(45,  "track_1",                 ANS, l1(76), secret=True),
        Field(49,  "currency",                N,   fixed(3)),
        Field(50,  "currency_settlement",     N,   fixed(3)),
        Field(51,  "currency_billing",        N,   fixed(3)),
        Field(54,  "additional_amounts",      ANS, l1(120), inside=ADDITIONAL_AMOUNTS),
        Field(55,  "chip_data",               B,   l1(255), secret=True, inside=CHIP_DATASETS),
        Field(59,  "pos_geographic",          ANS, l1(14)),
        Field(60,  "pos_information",         B,   l1(255), inside=POS_INFORMATION),
        Field(61,  "other_amounts",           N,   l1(36)),
        Field(62,  "payment_service",         B,   l1(255), inside=PAYMENT_SERVICE),
        Field(63,  "network_data",            B,   l1(255), inside=NETWORK_DATA),
        Field(90,  "original_data",           N,   fixed(42), inside=ORIGINAL_DATA),
        Field(95,  "replacement_amounts",     ANS, fixed(42), inside=REPLACEMENT_AMOUNTS),
        Field(99,  "settlement_institution_id", N, l1(11), lenient=True),
        Field(100, "receiver_id",             N,   l1(11), lenient=True),
        Field(101, "file_name",               ANS, l1(17)),
        Field(102, "account_1",               ANS, l1(28), secret=True),
        Field(103, "account_2",               ANS, l1(28), secret=True),
        Field(104, "transaction_data",        B,   l1(255), secret=True, inside=DATASETS),
        Field(116, "card_issuer_data",        B,   l1(255), secret=True, inside=DATASETS),
        Field(123, "verification_data",       B,   l1(255), secret=True, inside=DATASETS),
        Field(126, "private_use",             B,   l1(255), secret=True, inside=PRIVATE_USE),
    ),
    mti=BCD, bitmap=RAW, lengths=RAW, numbers=BCD, binary=RAW, text=EBCDIC,
)  # fmt: skip
