"""The data elements of Mastercard's IPM messages, and what their codes mean.

Source: cardutil 0.7.3 (MIT), whose table ours is compared with in
tests/ledger/clearing/test_ipm_table.py, and public pages on its codes. Values marked * are a
reading of these, not a quoted rule; they are data here, so that whoever knows better changes a
line.
"""

from typing import NamedTuple

from ledger.clearing.record import Kind


class Element(NamedTuple):
    """One data element: how many digits its length has, and how many characters at most."""

    number: int
    prefix: int  # 0: it always has `size` characters
    size: int


ELEMENTS = (
    #       DE  prefix size
    Element(2,   2, 19),  # PAN
    Element(3,   0, 6),  # processing code
    Element(4,   0, 12),  # amount, transaction
    Element(5,   0, 12),  # amount, reconciliation
    Element(6,   0, 12),  # amount, cardholder billing
    Element(9,   0, 8),  # conversion rate, reconciliation
    Element(10,  0, 8),  # conversion rate, cardholder billing
    Element(12,  0, 12),  # local date and time, YYMMDDhhmmss
    Element(14,  0, 4),  # expiry
    Element(22,  0, 12),  # point of service
    Element(23,  0, 3),  # card sequence number
    Element(24,  0, 3),  # function code
    Element(25,  0, 4),  # message reason code
    Element(26,  0, 4),  # MCC
    Element(30,  0, 24),  # amounts, original
    Element(31,  2, 23),  # acquirer reference data
    Element(32,  2, 11),  # acquiring institution
    Element(33,  2, 11),  # forwarding institution
    Element(37,  0, 12),  # retrieval reference number
    Element(38,  0, 6),  # approval code
    Element(40,  0, 3),  # service code
    Element(41,  0, 8),  # terminal
    Element(42,  0, 15),  # merchant
    Element(43,  2, 99),  # merchant's name and location
    Element(48,  3, 999),  # PDS
    Element(49,  0, 3),  # currency, transaction
    Element(50,  0, 3),  # currency, reconciliation
    Element(51,  0, 3),  # currency, cardholder billing
    Element(54,  3, 999),  # amounts, additional
    Element(55,  3, 255),  # chip
    Element(62,  3, 999),  # PDS
    Element(63,  3, 16),  # life-cycle id
    Element(71,  0, 8),  # message number
    Element(72,  3, 999),  # data record
    Element(73,  0, 6),  # date, action
    Element(93,  2, 11),  # destination institution
    Element(94,  2, 11),  # originator institution
    Element(95,  2, 10),  # card issuer's reference
    Element(100, 2, 11),  # receiving institution
    Element(105, 3, 999),  # multi-use transaction identification
    Element(111, 3, 999),  # currency conversion assignment
    Element(123, 3, 999),  # PDS
    Element(124, 3, 999),  # PDS
    Element(125, 3, 999),  # PDS
    Element(127, 3, 999),  # network data
)  # fmt: skip

BY_NUMBER = {element.number: element for element in ELEMENTS}
PDS_HOLDERS = (48, 62, 123, 124, 125)
BINARY = frozenset({55})

# Message types.
PRESENTMENT, CHARGEBACK, ADMINISTRATIVE, FEE = "1240", "1442", "1644", "1740"
MTIS = frozenset({PRESENTMENT, CHARGEBACK, ADMINISTRATIVE, FEE})

# DE 24 of a 1644.
HEADER, TRAILER = "697", "695"

# DE 24 of a 1240 and a 1442: the kind, and whether it is of less than all.
FUNCTIONS = {
    (PRESENTMENT, "200"): (None, False),  # the first; DE 3 says of what
    (PRESENTMENT, "205"): (Kind.SECOND_PRESENTMENT, False),
    (PRESENTMENT, "282"): (Kind.SECOND_PRESENTMENT, True),
    (CHARGEBACK, "450"): (Kind.CHARGEBACK, False),
    (CHARGEBACK, "453"): (Kind.CHARGEBACK, True),
    (CHARGEBACK, "451"): (Kind.CHARGEBACK, False),  # * arbitration
    (CHARGEBACK, "454"): (Kind.CHARGEBACK, True),  # * arbitration
}
# DE 24 of a 1740: collection, returned, sent again, returned once more, and by the network. *
FEE_FUNCTIONS = frozenset({"700", "780", "781", "782", "783", "790", "791"})

# DE 3, its first two digits: what a presentment is of.
PROCESSING = {
    "00": Kind.PRESENTMENT,
    "09": Kind.PRESENTMENT,  # with cashback
    "18": Kind.PRESENTMENT,  # * unique: gambling chips and the like
    "01": Kind.CASH,
    "12": Kind.CASH,
    "17": Kind.CASH,  # * convenience check
    "20": Kind.REFUND,
    "28": Kind.REFUND,  # * a payment to the card
}
# And of a fee: who originated it is credited, so we pay; or is debited. *
FEE_SIGNS = {"19": 1, "29": -1}

# What is written where several would be read.
PROCESSING_OF = {Kind.PRESENTMENT: "000000", Kind.CASH: "010000", Kind.REFUND: "200000"}
FUNCTION_OF = {
    (Kind.SECOND_PRESENTMENT, False): (PRESENTMENT, "205"),
    (Kind.SECOND_PRESENTMENT, True): (PRESENTMENT, "282"),
    (Kind.CHARGEBACK, False): (CHARGEBACK, "450"),
    (Kind.CHARGEBACK, True): (CHARGEBACK, "453"),
}

# Private data subelements.
REVERSAL = "0025"  # begins with R where this takes the message back *
FILE_ID = "0105"  # type 3, date YYMMDD, processor 11, sequence 5
MODE = "0122"  # P or T: production or test
FEES = "0146"  # * of 36: type 2, processing 2, settlement 2, currency 3, amount 12, then again
FEE_NUMBER = "0137"  # * the control number of a fee
CHECKSUM = "0301"  # of 16: all DE 4 of the file added up
COUNT = "0306"  # of 8: all messages, header and trailer too
FILE_ID_SIZE = 25
FEE_SIZE = 36

assert len(BY_NUMBER) == len(ELEMENTS)
