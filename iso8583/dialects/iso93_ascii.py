"""ISO 8583:1993 with everything in ASCII and the bitmaps as hexadecimal digits.

What jPOS calls ISO93A. A table of its own: half of the data elements mean something else
than in 1987, or have another size. DE 12 holds date and time, DE 24 says what a message is
for, DE 25 why it was sent, DE 39 has three digits, DE 56 names the original. Written as the
1987 ASCII dialect is: DE 52, 53, 55, 64, 96 and 128 are bytes here and hexadecimal digits
on the wire, and the length of a counted one counts those digits. That is why DE 96 has room
for 499 bytes, and not for 999.

Its messages have 1 as the first digit of their MTI.

Source: ISO 8583:1993, data element directory; the field tables of the library named.
"""

from iso8583.spec import AN, ANS, ASCII, HEX, XN, B, Dialect, Field, N, Z, fixed, ll, lll

# Reserved and private fields are secret: each network puts card data in another one of them.
RESERVED_111_TO_127 = (
    Field(number, f"reserved_{number}", ANS, lll(999), secret=True) for number in range(111, 128)
)
ASCII_1993 = Dialect(
    "ISO 8583:1993 ASCII",
    #     DE   name                              kind size
    Field(2,   "pan",                            N,   ll(19), secret=True),
    Field(3,   "processing_code",                N,   fixed(6)),
    Field(4,   "amount",                         N,   fixed(12)),
    Field(5,   "amount_reconciliation",          N,   fixed(12)),
    Field(6,   "amount_billing",                 N,   fixed(12)),
    Field(7,   "transmission_time",              N,   fixed(10)),  # MMDDhhmmss, UTC
    Field(8,   "amount_billing_fee",             N,   fixed(8)),
    Field(9,   "conversion_rate_reconciliation", N,   fixed(8)),
    Field(10,  "conversion_rate_billing",        N,   fixed(8)),
    Field(11,  "stan",                           N,   fixed(6)),
    Field(12,  "local_time",                     N,   fixed(12)),  # YYMMDDhhmmss
    Field(13,  "effective_date",                 N,   fixed(4)),  # YYMM
    Field(14,  "expiration_date",                N,   fixed(4)),  # YYMM
    Field(15,  "settlement_date",                N,   fixed(6)),  # YYMMDD
    Field(16,  "conversion_date",                N,   fixed(4)),
    Field(17,  "capture_date",                   N,   fixed(4)),
    Field(18,  "merchant_type",                  N,   fixed(4)),
    Field(19,  "acquirer_country",               N,   fixed(3)),  # ISO 3166 numeric
    Field(20,  "pan_country",                    N,   fixed(3)),
    Field(21,  "forwarder_country",              N,   fixed(3)),
    Field(22,  "pos_data_code",                  ANS, fixed(12)),  # twelve answers in a row
    Field(23,  "card_sequence_number",           N,   fixed(3)),
    Field(24,  "function_code",                  N,   fixed(3)),  # 400 full reversal, 831 echo
    Field(25,  "message_reason",                 N,   fixed(4)),  # why it was sent; 4021: time-out
    Field(26,  "card_acceptor_business_code",    N,   fixed(4)),  # ISO 18245: the MCC
    Field(27,  "approval_code_length",           N,   fixed(1)),
    Field(28,  "reconciliation_date",            N,   fixed(6)),
    Field(29,  "reconciliation_indicator",       N,   fixed(3)),
    Field(30,  "original_amounts",               N,   fixed(24)),  # of DE 4 and DE 5
    Field(31,  "acquirer_reference",             ANS, ll(99)),
    Field(32,  "acquirer_id",                    N,   ll(11)),
    Field(33,  "forwarder_id",                   N,   ll(11)),
    Field(34,  "pan_extended",                   ANS, ll(28), secret=True),
    Field(35,  "track_2",                        Z,   ll(37), secret=True),
    Field(36,  "track_3",                        ANS, lll(104), secret=True),
    Field(37,  "rrn",                            ANS, fixed(12)),
    Field(38,  "approval_code",                  ANS, fixed(6)),
    Field(39,  "action_code",                    N,   fixed(3)),
    Field(40,  "service_code",                   N,   fixed(3)),
    Field(41,  "terminal_id",                    ANS, fixed(8)),
    Field(42,  "merchant_id",                    ANS, fixed(15)),
    Field(43,  "merchant_name_location",         ANS, ll(99)),  # name\street\city\code, country
    Field(44,  "additional_response",            ANS, ll(99)),
    Field(45,  "track_1",                        ANS, ll(76), secret=True),
    Field(46,  "fees",                           ANS, lll(204), secret=True),
    Field(47,  "additional_national",            ANS, lll(999), secret=True),
    Field(48,  "additional_private",             ANS, lll(999), secret=True),
    Field(49,  "currency",                       AN,  fixed(3)),  # ISO 4217, numeric or alphabetic
    Field(50,  "currency_reconciliation",        AN,  fixed(3)),
    Field(51,  "currency_billing",               AN,  fixed(3)),
    Field(52,  "pin_block",                      B,   fixed(8), secret=True),
    Field(53,  "security_control",               B,   ll(48), secret=True),
    Field(54,  "additional_amounts",             ANS, lll(120)),
    Field(55,  "chip_data",                      B,   lll(255), secret=True),
    Field(56,  "original_data",                  N,   ll(35)),  # MTI, DE 11, 12, 32 with its length
    Field(57,  "life_cycle_code",                N,   fixed(3)),
    Field(58,  "authorizing_agent_id",           N,   ll(11)),
    Field(59,  "transport_data",                 ANS, lll(999), secret=True),
    Field(60,  "reserved_national_60",           ANS, lll(999), secret=True),
    Field(61,  "reserved_national_61",           ANS, lll(999), secret=True),
    Field(62,  "reserved_private_62",            ANS, lll(999), secret=True),
    Field(63,  "reserved_private_63",            ANS, lll(999), secret=True),
    Field(64,  "mac",                            B,   fixed(8), secret=True),
    Field(66,  "original_fees",                  ANS, lll(204), secret=True),
    Field(67,  "extended_payment_data",          N,   fixed(2)),
    Field(68,  "receiver_country",               N,   fixed(3)),
    Field(69,  "settlement_institution_country", N,   fixed(3)),
    Field(70,  "authorizing_agent_country",      N,   fixed(3)),
    Field(71,  "message_number",                 N,   fixed(8)),
    Field(72,  "data_record",                    ANS, lll(999), secret=True),
    Field(73,  "action_date",                    N,   fixed(6)),
    Field(74,  "credits_number",                 N,   fixed(10)),
    Field(75,  "credits_reversal_number",        N,   fixed(10)),
    Field(76,  "debits_number",                  N,   fixed(10)),
    Field(77,  "debits_reversal_number",         N,   fixed(10)),
    Field(78,  "transfer_number",                N,   fixed(10)),
    Field(79,  "transfer_reversal_number",       N,   fixed(10)),
    Field(80,  "inquiries_number",               N,   fixed(10)),
    Field(81,  "authorizations_number",          N,   fixed(10)),
    Field(82,  "inquiries_reversal_number",      N,   fixed(10)),
    Field(83,  "payments_number",                N,   fixed(10)),
    Field(84,  "payments_reversal_number",       N,   fixed(10)),
    Field(85,  "fee_collections_number",         N,   fixed(10)),
    Field(86,  "credits_amount",                 N,   fixed(16)),
    Field(87,  "credits_reversal_amount",        N,   fixed(16)),
    Field(88,  "debits_amount",                  N,   fixed(16)),
    Field(89,  "debits_reversal_amount",         N,   fixed(16)),
    Field(90,  "authorizations_reversal_number", N,   fixed(10)),
    Field(91,  "destination_country",            N,   fixed(3)),
    Field(92,  "originator_country",             N,   fixed(3)),
    Field(93,  "destination_id",                 N,   ll(11)),
    Field(94,  "originator_id",                  N,   ll(11)),
    Field(95,  "issuer_reference",               ANS, ll(99)),
    Field(96,  "key_management",                 B,   lll(499), secret=True),
    Field(97,  "net_reconciliation",             XN,  fixed(17)),
    Field(98,  "payee",                          ANS, fixed(25)),
    Field(99,  "settlement_institution_id",      ANS, ll(11)),
    Field(100, "receiver_id",                    N,   ll(11)),
    Field(101, "file_name",                      ANS, ll(17)),
    Field(102, "account_1",                      ANS, ll(28), secret=True),
    Field(103, "account_2",                      ANS, ll(28), secret=True),
    Field(104, "transaction_description",        ANS, lll(100), secret=True),
    Field(105, "credits_chargeback_amount",      N,   fixed(16)),
    Field(106, "debits_chargeback_amount",       N,   fixed(16)),
    Field(107, "credits_chargeback_number",      N,   fixed(10)),
    Field(108, "debits_chargeback_number",       N,   fixed(10)),
    Field(109, "credits_fee_amounts",            ANS, ll(84)),
    Field(110, "debits_fee_amounts",             ANS, ll(84)),
    *RESERVED_111_TO_127,
    Field(128, "mac_2",                          B,   fixed(8), secret=True),
    mti=ASCII, bitmap=HEX, lengths=ASCII, numbers=ASCII, binary=HEX,
    version="1",
)  # fmt: skip
