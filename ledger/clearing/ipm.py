"""Mastercard IPM files as cleared items, verified against their trailers.

A file is a header (1644/697), messages, and a trailer (1644/695); several may follow each other in
one. Messages are numbered without gaps by DE 71. The trailer repeats the header's id, counts all
messages, and adds up all DE 4, whatever their currency.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from ledger.clearing import ipm_table as table
from ledger.clearing.errors import BadElement, BadRecord, ClearingRefused, Problem
from ledger.clearing.ipm_frames import Shape, read_frames
from ledger.clearing.ipm_message import Message, is_digits, read_message
from ledger.clearing.pan import Pan
from ledger.clearing.record import ClearedItem, Fee, Kind, is_arn, name_of, shown, sign_of
from ledger.clearing.source import Found, Scan, Source, Told

NETWORK = "mastercard"
NO_NUMBER = "DE 71"


class Sums:
    """Of one header's messages: what its trailer is compared with."""

    def __init__(self) -> None:
        self.file_id = ""  # "" before the first header and between trailer and header
        self.number = 0  # DE 71 of the last message
        self.messages = 0
        self.amount = 0


def scan_ipm(source: Source, shape: Shape, told: Told) -> Scan:
    """Every item, and every record that is none. Raises: ClearingRefused, at the latest after
    the last of them: until then nothing of it may be posted."""
    told.network = NETWORK
    sums = Sums()
    for raw in read_frames(source, shape.blocked):
        told.records += 1
        sums.messages += 1
        try:
            message = read_message(raw, shape.codec)
        except BadElement as bad:
            if not sums.file_id:
                raise ClearingRefused(Problem.NO_HEADER, told.records, bad.element) from None
            sums.number += 1  # it had the next, or the one after it has not
            yield BadRecord(told.records, bad.element, bad.reason)
            continue
        yield from take(message, sums, told)
    if sums.file_id or not told.records:
        raise ClearingRefused(Problem.CUT, told.records, "trailer")


def take(message: Message, sums: Sums, told: Told) -> Iterator[Found]:
    function = message.elements.get(24, "")
    administrative = message.mti == table.ADMINISTRATIVE
    if administrative and function == table.HEADER:
        if sums.file_id:
            raise ClearingRefused(Problem.BAD_HEADER, told.records, "a second one")
        open_file(message, sums, told)
        return
    if not sums.file_id:
        problem = Problem.LEFTOVER if told.network_file_ids else Problem.NO_HEADER
        raise ClearingRefused(problem, told.records)
    sums.number += 1
    if message.elements.get(71) != f"{sums.number:08}":
        raise ClearingRefused(Problem.OUT_OF_ORDER, told.records, NO_NUMBER)
    if administrative and function == table.TRAILER:
        close_file(message, sums, told)
        return
    amount = message.elements.get(4, "")
    sums.amount += int(amount) if is_digits(amount, 12) else 0
    if administrative:
        told.others += 1  # addenda and the like
        return
    try:
        yield item_of(message, told.records)
    except BadElement as bad:
        yield BadRecord(told.records, bad.element, bad.reason)


def open_file(message: Message, sums: Sums, told: Told) -> None:
    record = told.records
    try:
        sums.file_id = message.pds().get(table.FILE_ID, "")
    except BadElement as bad:
        raise ClearingRefused(Problem.BAD_HEADER, record, bad.element) from None
    if not is_digits(sums.file_id, table.FILE_ID_SIZE):
        raise ClearingRefused(Problem.BAD_HEADER, record, f"PDS {table.FILE_ID}")
    number = message.elements.get(71, "")
    if not is_digits(number, 8):
        raise ClearingRefused(Problem.BAD_HEADER, record, NO_NUMBER)
    sums.number, sums.messages, sums.amount = int(number), 1, 0
    told.network_file_ids.append(sums.file_id)
    if told.business_date is None:
        try:
            told.business_date = read_date(sums.file_id[3:9], f"PDS {table.FILE_ID}")
        except BadElement as bad:
            raise ClearingRefused(Problem.BAD_HEADER, record, bad.element) from None


def close_file(message: Message, sums: Sums, told: Told) -> None:
    record = told.records
    try:
        pds = message.pds()
    except BadElement as bad:
        raise ClearingRefused(Problem.BAD_TRAILER, record, bad.element) from None
    if pds.get(table.FILE_ID) != sums.file_id:
        raise ClearingRefused(Problem.WRONG_FILE, record, f"PDS {table.FILE_ID}")
    count, checksum = pds.get(table.COUNT, ""), pds.get(table.CHECKSUM, "")
    if not is_digits(count, 8):
        raise ClearingRefused(Problem.BAD_TRAILER, record, f"PDS {table.COUNT}")
    if not is_digits(checksum, 16):
        raise ClearingRefused(Problem.BAD_TRAILER, record, f"PDS {table.CHECKSUM}")
    if int(count) != sums.messages:
        raise ClearingRefused(Problem.WRONG_COUNT, record, f"PDS {table.COUNT}")
    if int(checksum) != sums.amount % 10**16:
        raise ClearingRefused(Problem.WRONG_TOTAL, record, f"PDS {table.CHECKSUM}")
    sums.file_id = ""


def item_of(message: Message, record: int) -> ClearedItem:
    """Raises: BadElement."""
    elements = message.elements
    pds = message.pds()
    kind, of, partial, sign = kind_of(message)
    reversal = pds.get(table.REVERSAL, "")[:1] == "R"
    if kind is Kind.FEE:
        sign = -sign if reversal else sign
    else:
        sign = sign_of(kind, of, reversal)
    local_date, local_time = moment(elements.get(12, ""))
    name, city, country = place_of(elements.get(43, ""))
    arn = elements.get(31, "")
    if arn and not is_arn(arn):
        raise BadElement("DE 31", "not an acquirer reference number")
    return ClearedItem(
        record=record,
        network=NETWORK,
        kind=kind,
        of=of,
        sign=sign,
        reversal=reversal,
        partial=partial,
        pan=read_pan(elements, kind),
        transaction_minor=amount_of(elements, 4, required=True),
        transaction_currency=currency_of(elements, 49, required=True),
        billing_minor=amount_of(elements, 6),
        billing_currency=currency_of(elements, 51),
        billing_rate=rate_of(elements, 10),
        settlement_minor=amount_of(elements, 5),
        settlement_currency=currency_of(elements, 50),
        settlement_rate=rate_of(elements, 9),
        fees=fees_of(pds.get(table.FEES, "")),
        arn=arn,
        life_cycle=life_cycle_of(elements.get(63, "")),
        rrn=shown(elements.get(37, "")),
        approval_code=shown(elements.get(38, "")),
        local_date=local_date,
        local_time=local_time,
        mcc=mcc_of(elements.get(26, "")),
        merchant_id=shown(elements.get(42, "")),
        merchant_name=name,
        merchant_city=city,
        merchant_country=country,
        terminal_id=shown(elements.get(41, "")),
        acquirer_id=shown(elements.get(32, "")),
        reason=shown(elements.get(25, "")),
        reference=shown(
            pds.get(table.FEE_NUMBER, "") if kind is Kind.FEE else elements.get(95, "")
        ),
    )


def kind_of(message: Message) -> tuple[Kind, Kind, bool, int]:
    """Kind, of what, whether of less than all, and the sign of a fee."""
    function, processing = message.elements.get(24, ""), message.elements.get(3, "")[:2]
    if message.mti == table.FEE:
        if function not in table.FEE_FUNCTIONS:
            raise BadElement("DE 24", "unknown function of a fee")
        if processing not in table.FEE_SIGNS:
            raise BadElement("DE 3", "says not who pays the fee")
        return Kind.FEE, Kind.FEE, False, table.FEE_SIGNS[processing]
    known = table.FUNCTIONS.get((message.mti, function))
    if known is None:
        element = "DE 24" if message.mti in table.MTIS else "MTI"
        raise BadElement(element, "unknown function")
    of = table.PROCESSING.get(processing)
    if of is None:
        raise BadElement("DE 3", "unknown processing code")
    kind, partial = known
    return kind or of, of, partial, 0


def read_pan(elements: dict[int, str], kind: Kind) -> Pan | None:
    if 2 not in elements and kind is Kind.FEE:
        return None
    try:
        return Pan(elements.get(2, ""))
    except ValueError:
        raise BadElement("DE 2", "not a card number") from None


def amount_of(elements: dict[int, str], number: int, required: bool = False) -> int:
    text = elements.get(number, "")
    if not text and not required:
        return 0
    if not is_digits(text, 12):
        raise BadElement(f"DE {number}", "not an amount")
    return int(text)


def currency_of(elements: dict[int, str], number: int, required: bool = False) -> str:
    text = elements.get(number, "")
    if (text or required) and not is_digits(text, 3):
        raise BadElement(f"DE {number}", "not a currency")
    return text


def rate_of(elements: dict[int, str], number: int) -> str:
    """Its first digit says how many of the others stand behind the point."""
    text = elements.get(number, "")
    if not text:
        return ""
    if not is_digits(text, 8) or text[0] > "7":
        raise BadElement(f"DE {number}", "not a rate")
    return f"{Decimal(int(text[1:])).scaleb(-int(text[0])):f}"


def moment(text: str) -> tuple[date | None, str]:
    """The date and the time, hhmmss, where the merchant is."""
    if not text:
        return None, ""
    if not is_digits(text, 12) or text[6:8] > "23" or text[8:10] > "59" or text[10:] > "59":
        raise BadElement("DE 12", "not a date and time")
    return read_date(text[:6], "DE 12"), text[6:]


def read_date(text: str, element: str) -> date:
    try:
        return date(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))
    except ValueError:
        raise BadElement(element, "not a date") from None


def mcc_of(text: str) -> str:
    if text and not is_digits(text, 4):
        raise BadElement("DE 26", "not a merchant category")
    return text


def life_cycle_of(text: str) -> str:
    """The trace id as the engine spells it: reference, blank, MMDD. * Its first character, before
    the reference of nine, says only whether there is one."""
    reference, day = shown(text[1:10]), shown(text[10:14])
    return f"{reference} {day}" if reference.strip("0") and day else ""


def place_of(text: str) -> tuple[str, str, str]:
    r"""Name, city and country of `name\street\city\` and then postcode 10, region 3, country 3."""
    parts = text.split("\\")
    if len(parts) != 4:
        return name_of(text), "", ""
    return name_of(parts[0]), name_of(parts[2]), shown(parts[3][13:16])


def fees_of(text: str) -> tuple[Fee, ...]:
    """* Of each, who pays is told by the third and fourth character: of us, as with DE 3."""
    if len(text) % table.FEE_SIZE:
        raise BadElement(f"PDS {table.FEES}", "not fees of its size")
    return tuple(
        one_fee(text[at : at + table.FEE_SIZE]) for at in range(0, len(text), table.FEE_SIZE)
    )


def one_fee(text: str) -> Fee:
    if not (is_digits(text[6:9], 3) and is_digits(text[9:21], 12)):
        raise BadElement(f"PDS {table.FEES}", "not an amount with its currency")
    return Fee(
        name=shown(text[:2]),
        sign=table.FEE_SIGNS.get(text[2:4], 0),
        amount=int(text[9:21]),
        currency=text[6:9],
    )
