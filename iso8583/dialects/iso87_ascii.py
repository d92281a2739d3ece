"""ISO 8583:1987 with everything in ASCII and the bitmaps as hexadecimal digits.

What jPOS calls ISO87A and pyiso8583 `default_ascii`. Where those two differ we read the
wider of them: DE 54 to 240 and not 120 characters; DE 93 has five characters, as in the
standard, and not jPOS's six; DE 96 is eight bytes, not sixteen. DE 52, 55, 64, 96 and 128
are bytes here, and hexadecimal digits on the wire (upper case when we write, either case
when we read); the length of DE 55 counts those digits.

Stricter than both: characters are checked, a sign is C or D, DE 65 is refused.

Source: ISO 8583:1987 section 4; the field tables of the libraries named.
"""

from iso8583.spec import AN, ANS, ASCII, HEX, XN, B, Dialect, Field, N, Z, fixed, ll, lll

# Reserved and private fields are secret: each network puts card data in another one of them.
RESERVED_105_TO_127 = (
    Field(number, f"reserved_{number}", ANS, lll(999), secret=True) for number in range(105, 128)
)
ASCII_1987 = Dialect(
    "ISO 8583:1987 ASCII",
    #     DE   name                              kind size
    Field(2,   "pan",                            N,   ll(19), secret=True),
    Field(3,   "processing_code",                N,   fixed(6)),
    Field(4,   "amount",                         N,   fixed(12)),
    Field(5,   "amount_settlement",              N,   fixed(12)),
    Field(6,   "amount_billing",                 N,   fixed(12)),
    Field(7,   "transmission_time",              N,   fixed(10)),  # MMDDhhmmss, UTC
    Field(8,   "amount_billing_fee",             N,   fixed(8)),
    Field(9,   "conversion_rate_settlement",     N,   fixed(8)),
    Field(10,  "conversion_rate_billing",        N,   fixed(8)),
    Field(11,  "stan",                           N,   fixed(6)),
    Field(12,  "local_time",                     N,   fixed(6)),  # hhmmss
    Field(13,  "local_date",                     N,   fixed(4)),  # MMDD
    Field(14,  "expiration_date",                N,   fixed(4)),  # YYMM
    Field(15,  "settlement_date",                N,   fixed(4)),
    Field(16,  "conversion_date",                N,   fixed(4)),
    Field(17,  "capture_date",                   N,   fixed(4)),
    Field(18,  "mcc",                            N,   fixed(4)),  # ISO 18245
    Field(19,  "acquirer_country",               N,   fixed(3)),  # ISO 3166 numeric
    Field(20,  "pan_country",                    N,   fixed(3)),
    Field(21,  "forwarder_country",              N,   fixed(3)),
    Field(22,  "pos_entry_mode",                 N,   fixed(3)),
    Field(23,  "card_sequence_number",           N,   fixed(3)),
    Field(24,  "network_international_id",       N,   fixed(3)),
    Field(25,  "pos_condition",                  N,   fixed(2)),
    Field(26,  "pos_pin_capture_code",           N,   fixed(2)),
    Field(27,  "approval_code_length",           N,   fixed(1)),
    Field(28,  "transaction_fee",                XN,  fixed(9)),
    Field(29,  "settlement_fee",                 XN,  fixed(9)),
    Field(30,  "transaction_processing_fee",     XN,  fixed(9)),
    Field(31,  "settlement_processing_fee",      XN,  fixed(9)),
    Field(32,  "acquirer_id",                    N,   ll(11)),
    Field(33,  "forwarder_id",                   N,   ll(11)),
    Field(34,  "pan_extended",                   ANS, ll(28), secret=True),
    Field(35,  "track_2",                        Z,   ll(37), secret=True),
    Field(36,  "track_3",                        ANS, lll(104), secret=True),
    Field(37,  "rrn",                            ANS, fixed(12)),
    Field(38,  "approval_code",                  ANS, fixed(6)),
    Field(39,  "response_code",                  AN,  fixed(2)),
    Field(40,  "service_restriction_code",       ANS, fixed(3)),
    Field(41,  "terminal_id",                    ANS, fixed(8)),
    Field(42,  "merchant_id",                    ANS, fixed(15)),
    Field(43,  "merchant_name_location",         ANS, fixed(40)),
    Field(44,  "additional_response",            ANS, ll(25)),
    Field(45,  "track_1",                        ANS, ll(76), secret=True),
    Field(46,  "additional_iso",                 ANS, lll(999), secret=True),
    Field(47,  "additional_national",            ANS, lll(999), secret=True),
    Field(48,  "additional_private",             ANS, lll(999), secret=True),
    Field(49,  "currency",                       AN,  fixed(3)),  # ISO 4217, numeric or alphabetic
    Field(50,  "currency_settlement",            AN,  fixed(3)),
    Field(51,  "currency_billing",               AN,  fixed(3)),
    Field(52,  "pin_block",                      B,   fixed(8), secret=True),
    Field(53,  "security_control",               N,   fixed(16), secret=True),
    Field(54,  "additional_amounts",             ANS, lll(240)),
    Field(55,  "chip_data",                      B,   lll(255), secret=True),
    Field(56,  "reserved_iso_56",                ANS, lll(999), secret=True),
    Field(57,  "reserved_national_57",           ANS, lll(999), secret=True),
    Field(58,  "reserved_national_58",           ANS, lll(999), secret=True),
    Field(59,  "reserved_national_59",           ANS, lll(999), secret=True),
    Field(60,  "reserved_private_60",            ANS, lll(999), secret=True),
    Field(61,  "reserved_private_61",            ANS, lll(999), secret=True),
    Field(62,  "reserved_private_62",            ANS, lll(999), secret=True),
    Field(63,  "reserved_private_63",            ANS, lll(999), secret=True),
    Field(64,  "mac",                            B,   fixed(8), secret=True),
    Field(66,  "settlement_code",                N,   fixed(1)),
    Field(67,  "extended_payment_code",          N,   fixed(2)),
    Field(68,  "receiver_country",               N,   fixed(3)),
    Field(69,  "settlement_institution_country", N,   fixed(3)),
    Field(70,  "network_management_code",        N,   fixed(3)),
    Field(71,  "message_number",                 N,   fixed(4)),
    Field(72,  "message_number_last",            N,   fixed(4)),
    Field(73,  "action_date",                    N,   fixed(6)),
    Field(74,  "credits_number",                 N,   fixed(10)),
    Field(75,  "credits_reversal_number",        N,   fixed(10)),
    Field(76,  "debits_number",                  N,   fixed(10)),
    Field(77,  "debits_reversal_number",         N,   fixed(10)),
    Field(78,  "transfer_number",                N,   fixed(10)),
    Field(79,  "transfer_reversal_number",       N,   fixed(10)),
    Field(80,  "inquiries_number",               N,   fixed(10)),
    Field(81,  "authorizations_number",          N,   fixed(10)),
    Field(82,  "credits_processing_fee",         N,   fixed(12)),
    Field(83,  "credits_transaction_fee",        N,   fixed(12)),
    Field(84,  "debits_processing_fee",          N,   fixed(12)),
    Field(85,  "debits_transaction_fee",         N,   fixed(12)),
    Field(86,  "credits_amount",                 N,   fixed(16)),
    Field(87,  "credits_reversal_amount",        N,   fixed(16)),
    Field(88,  "debits_amount",                  N,   fixed(16)),
    Field(89,  "debits_reversal_amount",         N,   fixed(16)),
    Field(90,  "original_data",                  N,   fixed(42)),  # of DE 11, 7, 32, 33
    Field(91,  "file_update_code",               ANS, fixed(1)),
    Field(92,  "file_security_code",             ANS, fixed(2)),
    Field(93,  "response_indicator",             ANS, fixed(5)),
    Field(94,  "service_indicator",              ANS, fixed(7)),
    Field(95,  "replacement_amounts",            ANS, fixed(42)),  # 12, 12, 9, 9 here
    Field(96,  "message_security_code",          B,   fixed(8), secret=True),
    Field(97,  "net_settlement",                 XN,  fixed(17)),
    Field(98,  "payee",                          ANS, fixed(25)),
    Field(99,  "settlement_institution_id",      N,   ll(11)),
    Field(100, "receiver_id",                    N,   ll(11)),
    Field(101, "file_name",                      ANS, ll(17)),
    Field(102, "account_1",                      ANS, ll(28), secret=True),
    Field(103, "account_2",                      ANS, ll(28), secret=True),
    Field(104, "transaction_description",        ANS, lll(100), secret=True),
    *RESERVED_105_TO_127,
    Field(128, "mac_2",                          B,   fixed(8), secret=True),
    mti=ASCII, bitmap=HEX, lengths=ASCII, numbers=ASCII, binary=HEX,
)  # fmt: skip
