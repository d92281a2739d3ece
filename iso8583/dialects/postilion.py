"""Postilion: ISO 8583:1987 in ASCII, bitmaps and bytes as they are, and a message inside DE 127.

Source: the facts file's table (jPOS's postpack; the 127 of jPOS's PostPackager and of the npm
package iso_8583). Where these differ:

- 127.7, 127.8, 127.19: 70, 999 and 31 characters as the later lists have them, not 50, 128, 45.
- 127.6 is alphanumeric, not numeric; 127.26 has up to 20 characters, not 12.
- 127.25 has a bitmap of its own as 16 hexadecimal digits: it is a text, which eight raw bytes
  would not be. Senders that put XML there instead are read, but not looked into.
- The prefix of 127 counts to 999,999. We take 9,999, twice the most that a link lets through by
  default: its table of lengths would weigh a hundred times as much, for messages nobody sends.
"""

from iso8583.dialects.iso87_ascii import ASCII_1987
from iso8583.dialects.tables import ADDITIONAL_AMOUNTS, ORIGINAL_DATA, changed
from iso8583.spec import (
    AN,
    ANS,
    ASCII,
    HEX,
    RAW,
    B,
    Bitmapped,
    Composite,
    Dialect,
    Field,
    N,
    counted,
    fixed,
    l1,
    ll,
    lll,
)

# Values of the chip as hexadecimal digits; amounts, dates and codes as numbers.
CHIP = Composite(
    Bitmapped(8, HEX),
    (
        Field(2,  "amount",                       N,   fixed(12)),
        Field(3,  "amount_other",                 N,   fixed(12)),
        Field(4,  "application_id",               AN,  ll(32)),
        Field(5,  "interchange_profile",          AN,  fixed(4)),
        Field(6,  "transaction_counter",          AN,  fixed(4)),
        Field(7,  "usage_control",                AN,  fixed(4)),
        Field(8,  "response_code",                AN,  fixed(2)),
        Field(9,  "authentication_reliability",   N,   fixed(1)),
        Field(10, "authentication_result",        ANS, fixed(1)),
        Field(11, "chip_condition",               N,   fixed(1)),
        Field(12, "cryptogram",                   AN,  fixed(16)),
        Field(13, "cryptogram_information",       AN,  fixed(2)),
        Field(14, "verification_methods",         AN,  lll(504)),
        Field(15, "cardholder_verification",      AN,  fixed(6)),
        Field(16, "device_serial_number",         AN,  fixed(8)),
        Field(17, "action_code",                  ANS, fixed(11)),
        Field(18, "issuer_application_data",      AN,  ll(64)),
        Field(19, "script_results",               AN,  lll(507)),
        Field(20, "terminal_application_version", AN,  fixed(4)),
        Field(21, "terminal_capabilities",        AN,  fixed(6)),
        Field(22, "terminal_country",             N,   fixed(3)),
        Field(23, "terminal_type",                N,   fixed(2)),
        Field(24, "verification_results",         AN,  fixed(10)),
        Field(25, "transaction_category",         ANS, fixed(1)),
        Field(26, "transaction_currency",         N,   fixed(3)),
        Field(27, "transaction_date",             N,   fixed(6)),
        Field(28, "transaction_sequence_counter", N,   l1(8)),
        Field(29, "transaction_type",             N,   fixed(2)),
        Field(30, "unpredictable_number",         AN,  fixed(8)),
        Field(31, "issuer_authentication",        AN,  ll(32)),
        Field(32, "script_template_1",            AN,  counted(4, 3354), secret=True),
        Field(33, "script_template_2",            AN,  counted(4, 3354), secret=True),
    ),
)  # fmt: skip

PRIVATE = Composite(
    Bitmapped(8),
    (
        Field(2,  "switch_key",                   ANS, ll(32)),
        Field(3,  "routing_information",          ANS, fixed(48)),
        Field(4,  "pos_data",                     ANS, fixed(22)),
        Field(5,  "service_station_data",         ANS, fixed(73)),
        Field(6,  "authorization_profile",        AN,  fixed(2)),
        Field(7,  "check_data",                   ANS, ll(70), secret=True),
        Field(8,  "retention_data",               ANS, lll(999), secret=True),
        Field(9,  "additional_node_data",         ANS, lll(999), secret=True),
        Field(10, "cvv2",                         N,   fixed(3), secret=True),
        Field(11, "original_key",                 ANS, ll(32)),
        Field(12, "terminal_owner",               ANS, ll(25)),
        Field(13, "pos_geographic_data",          ANS, fixed(17)),
        Field(14, "sponsor_bank",                 ANS, fixed(8)),
        Field(15, "address_verification",         ANS, ll(29), secret=True),
        Field(16, "address_verification_result",  ANS, fixed(1)),
        Field(17, "cardholder_information",       ANS, ll(50), secret=True),
        Field(18, "validation_data",              ANS, ll(50), secret=True),
        Field(19, "bank_details",                 ANS, fixed(31), secret=True),
        Field(20, "authorizer_settlement_date",   N,   fixed(8)),
        Field(21, "record_identification",        ANS, ll(12)),
        Field(22, "structured_data",              ANS, counted(5, 9999), secret=True),
        Field(23, "payee_name_address",           ANS, fixed(253), secret=True),
        Field(24, "payee_reference",              ANS, ll(28), secret=True),
        Field(25, "chip_data",                    ANS, counted(4, 9999), secret=True, inside=CHIP),
        Field(26, "original_node",                ANS, ll(20)),
        Field(27, "card_verification_result",     ANS, fixed(1)),
        Field(28, "amex_card_identifier",         N,   fixed(4), secret=True),
        Field(29, "three_d_secure_data",          B,   fixed(40), secret=True),
        Field(30, "three_d_secure_result",        ANS, fixed(1)),
        Field(31, "issuer_network_id",            ANS, ll(11)),
        Field(32, "ucaf_data",                    B,   ll(33), secret=True),
        Field(33, "extended_transaction_type",    N,   fixed(4)),
        Field(34, "account_type_qualifiers",      N,   fixed(2)),
        Field(35, "acquirer_network_id",          ANS, ll(11)),
        Field(36, "customer_id",                  ANS, ll(25), secret=True),
        Field(37, "extended_response_code",       AN,  fixed(4)),
        Field(38, "additional_pos_data_code",     AN,  ll(99)),
        Field(39, "original_response_code",       AN,  fixed(2)),
        Field(40, "transaction_reference",        ANS, lll(512)),
        Field(41, "originating_address",          ANS, ll(99)),
        Field(42, "transaction_number",           N,   ll(10)),
    ),
)  # fmt: skip

POSTILION = Dialect(
    "Postilion",
    *changed(
        ASCII_1987.table,
        Field(53,  "security_control",   B,   fixed(48), secret=True),
        Field(54,  "additional_amounts", ANS, lll(240), inside=ADDITIONAL_AMOUNTS),
        Field(90,  "original_data",      N,   fixed(42), inside=ORIGINAL_DATA),
        Field(127, "postilion_private",  B,   counted(6, 9999), secret=True, inside=PRIVATE),
    ),
    mti=ASCII, bitmap=RAW, lengths=ASCII, numbers=ASCII, binary=RAW,
)  # fmt: skip
