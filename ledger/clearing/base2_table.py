"""The records of Visa's BASE II: 168 characters each, by position.

Source: visa-clearing-file-parser (MIT) for the draft's components, and other public programs that
read or write such files, which agree with each other on headers, trailers and fees. Values marked
* are a reading of these, not a quoted rule; they are data here, so that whoever knows better
changes a line.
"""

from ledger.clearing.record import Kind

SIZE = 168

# Transaction codes.
HEADER, BATCH, FILE = "90", "91", "92"
FEE_COLLECTION, FUNDS = "10", "20"

# Of a draft: kind, of what, and whether it takes it back.
DRAFTS = {
    "05": (Kind.PRESENTMENT, Kind.PRESENTMENT, False),
    "06": (Kind.REFUND, Kind.REFUND, False),
    "07": (Kind.CASH, Kind.CASH, False),
    "15": (Kind.CHARGEBACK, Kind.PRESENTMENT, False),
    "16": (Kind.CHARGEBACK, Kind.REFUND, False),
    "17": (Kind.CHARGEBACK, Kind.CASH, False),
    "25": (Kind.PRESENTMENT, Kind.PRESENTMENT, True),
    "26": (Kind.REFUND, Kind.REFUND, True),
    "27": (Kind.CASH, Kind.CASH, True),
    "35": (Kind.CHARGEBACK, Kind.PRESENTMENT, True),
    "36": (Kind.CHARGEBACK, Kind.REFUND, True),
    "37": (Kind.CHARGEBACK, Kind.CASH, True),
}
CODES = {told: code for code, told in DRAFTS.items()}
# Of a fee: who pays. A collection is from us where it comes in, a disbursement is to us. *
FEES = {FEE_COLLECTION: 1, FUNDS: -1}
MONETARY = frozenset(DRAFTS) | frozenset(FEES)
# Also money, but nothing that we know how to read: listed, so that a person looks.
UNREAD = frozenset({"01", "02", "09", "19"})

# * Usage code of a draft that is presented once more.
FIRST, AGAIN = "1", "2"

Field = tuple[int, int]  # where it begins, counted from 1, and how long it is

TCR_0: dict[str, Field] = {
    "pan": (5, 16),
    "pan_extension": (21, 3),  # * of a card number of 19; 000 where it has 16
    "arn": (27, 23),
    "acquirer_id": (50, 8),  # the acquirer's business id
    "local_date": (58, 4),  # MMDD
    "destination_amount": (62, 12),
    "destination_currency": (74, 3),
    "source_amount": (77, 12),
    "source_currency": (89, 3),
    "merchant_name": (92, 25),
    "merchant_city": (117, 13),
    "merchant_country": (130, 3),
    "mcc": (133, 4),
    "usage": (147, 1),
    "reason": (148, 2),
    "approval_code": (152, 6),
    "processing_date": (164, 4),  # YDDD
}
TCR_1: dict[str, Field] = {
    "reference": (17, 6),  # of a chargeback
    "merchant_id": (81, 15),
    "terminal_id": (96, 8),
}
TCR_5: dict[str, Field] = {
    "transaction_id": (5, 15),
    "clearing_number": (45, 2),
    "clearing_count": (47, 2),
    "fee": (92, 15),  # * with six digits behind the point
    "fee_sign": (107, 1),  # * C: to us, D: from us
}
FEE_DECIMALS = 6
FEE_SIGNS = {"C": -1, "D": 1}
FEE_0: dict[str, Field] = {
    "source_bin": (11, 6),
    "reason": (17, 4),
    "merchant_country": (21, 3),
    "local_date": (24, 4),
    "pan": (28, 16),
    "pan_extension": (44, 3),
    "destination_amount": (47, 12),
    "destination_currency": (59, 3),
    "source_amount": (62, 12),
    "source_currency": (74, 3),
    "transaction_id": (148, 15),
    "processing_date": (164, 4),
}
FILE_HEADER: dict[str, Field] = {
    "processing_bin": (3, 6),
    "date": (9, 5),  # YYDDD
    "test": (30, 4),  # TEST, or nothing
    "file_number": (77, 3),  # * of that day
}
FILE_TRAILER: dict[str, Field] = {  # a batch's, too
    "bin": (5, 6),
    "date": (11, 5),
    "destination_amount": (16, 15),  # all of them added up, whatever their currency
    "monetary": (31, 12),
    "batch": (43, 6),
    "records": (49, 12),
    "transactions": (75, 9),
    "source_amount": (102, 15),
}
LAYOUTS = (TCR_0, TCR_1, TCR_5, FEE_0, FILE_HEADER, FILE_TRAILER)


def check(layout: dict[str, Field]) -> None:
    """No field over another, and none beyond the record."""
    behind = 0
    for start, length in sorted(layout.values()):
        assert start > behind, start
        behind = start + length - 1
    assert behind <= SIZE


for layout in LAYOUTS:
    check(layout)


def slices(layout: dict[str, Field]) -> dict[str, slice]:
    return {name: slice(start - 1, start - 1 + length) for name, (start, length) in layout.items()}


def place_of(layout: dict[str, Field], name: str) -> str:
    """As errors name it."""
    start, length = layout[name]
    return f"positions {start}-{start + length - 1}"
