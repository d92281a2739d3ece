"""Visa BASE II files as cleared items, verified against their trailers.

A file is a TC 90, transactions in batches that each end with a TC 91, and a TC 92. A transaction is
one or more records of the same code whose component numbers rise from 0. Trailers count monetary
transactions, records and transactions, and add up source and destination amounts.

* Of whether records and transactions of a trailer count the trailers themselves, public programs
say both. Either is taken, all through a file.
"""

from collections.abc import Iterator
from datetime import date, timedelta

from msgspec import Struct

from ledger.clearing import base2_table as table
from ledger.clearing.base2_frames import Shape, read_frames
from ledger.clearing.errors import BadElement, BadRecord, ClearingRefused, Problem
from ledger.clearing.pan import Pan
from ledger.clearing.record import ClearedItem, Fee, Kind, is_arn, name_of, shown, sign_of
from ledger.clearing.source import Found, Scan, Source, Told

NETWORK = "visa"
CODE, NUMBER = slice(0, 2), 3

T0, T1, T5, TF = map(table.slices, (table.TCR_0, table.TCR_1, table.TCR_5, table.FEE_0))
HEADER, TRAILER = table.slices(table.FILE_HEADER), table.slices(table.FILE_TRAILER)


class Sums(Struct):
    """What a trailer is compared with: of a batch, or of all."""

    monetary: int = 0
    records: int = 0
    transactions: int = 0
    source_amount: int = 0
    destination_amount: int = 0

    def add(self, other: "Sums") -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Scanner:
    """Follows one file. A transaction is judged when the next begins."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.date = date.min
        self.parts: list[str] = []  # of the transaction that is being read
        self.first = 0  # its first record's number
        self.batch, self.file = Sums(), Sums()
        self.batches = 0
        self.counts_trailers: bool | None = None  # told by the first trailer
        self.ended = False

    def take(self, text: str) -> Iterator[Found]:
        told, code, number = self.told, text[CODE], text[NUMBER]
        told.records += 1
        if told.records == 1:
            self.open_file(text)
            return
        if self.ended:
            raise ClearingRefused(Problem.LEFTOVER, told.records)
        if code == table.HEADER:
            raise ClearingRefused(Problem.BAD_HEADER, told.records, "a second one")
        if number == "0" or code in (table.BATCH, table.FILE):
            yield from self.finish()
        elif not self.parts or code != self.parts[0][CODE] or number <= self.parts[-1][NUMBER]:
            raise ClearingRefused(Problem.OUT_OF_ORDER, told.records, "position 4")
        if code == table.BATCH:
            self.close_batch(text)
        elif code == table.FILE:
            self.close_file(text)
        else:
            if not self.parts:
                self.first = told.records
            self.parts.append(text)
            self.batch.records += 1

    def open_file(self, text: str) -> None:
        stamp = text[HEADER["date"]]
        try:
            self.date = julian(stamp)
        except BadElement:
            place = table.place_of(table.FILE_HEADER, "date")
            raise ClearingRefused(Problem.BAD_HEADER, 1, place) from None
        self.told.network = NETWORK
        self.told.business_date = self.date
        own = text[HEADER["processing_bin"]] + stamp + text[HEADER["file_number"]]
        self.told.network_file_ids.append(shown(own))

    def finish(self) -> Iterator[Found]:
        """The transaction that was being read is whole."""
        if not self.parts:
            return
        parts, self.parts = self.parts, []
        self.batch.transactions += 1
        code = parts[0][CODE]
        if code in table.MONETARY:
            self.batch.monetary += 1
            layout = TF if code in table.FEES else T0
            self.batch.source_amount += whole(parts[0][layout["source_amount"]])
            self.batch.destination_amount += whole(parts[0][layout["destination_amount"]])
        elif code not in table.UNREAD:
            self.told.others += 1  # text messages, reports and the like: no money of a card
            return
        try:
            yield item_of(parts, self.first, self.date)
        except BadElement as bad:
            yield BadRecord(self.first, bad.element, bad.reason)

    def close_batch(self, text: str) -> None:
        self.batches += 1
        self.compare(text, self.batch, 1)
        self.file.add(self.batch)
        self.batch = Sums()

    def close_file(self, text: str) -> None:
        if self.batch != Sums():
            raise ClearingRefused(
                Problem.OUT_OF_ORDER, self.told.records, "no batch trailer before"
            )
        self.compare(text, self.file, self.batches + 1)
        self.ended = True

    def compare(self, text: str, ours: Sums, trailers: int) -> None:
        told = {name: self.number(text, name) for name in ours.__struct_fields__}
        if told["monetary"] != ours.monetary:
            self.refuse(Problem.WRONG_COUNT, "monetary")
        if self.counts_trailers is None:
            self.counts_trailers = told["records"] != ours.records
        extra = trailers if self.counts_trailers else 0
        for name in ("records", "transactions"):
            if told[name] != getattr(ours, name) + extra:
                self.refuse(Problem.WRONG_COUNT, name)
        for name in ("source_amount", "destination_amount"):
            if told[name] != getattr(ours, name) % 10**15:
                self.refuse(Problem.WRONG_TOTAL, name)

    def number(self, text: str, name: str) -> int:
        cell = text[TRAILER[name]]
        if not (cell.isascii() and cell.isdigit()):
            self.refuse(Problem.BAD_TRAILER, name)
        return int(cell)

    def refuse(self, problem: Problem, name: str) -> None:
        place = table.place_of(table.FILE_TRAILER, name)
        raise ClearingRefused(problem, self.told.records, f"{name}, {place}")


def scan_base2(source: Source, shape: Shape, told: Told) -> Scan:
    """Every item, and every transaction that is none. Raises: ClearingRefused, at the latest
    after the last of them: until then nothing of it may be posted."""
    scanner = Scanner(told)
    for text in read_frames(source, shape):
        yield from scanner.take(text)
    if not scanner.ended:
        raise ClearingRefused(Problem.CUT, told.records, "trailer")


def item_of(parts: list[str], record: int, processed: date) -> ClearedItem:
    """Raises: BadElement."""
    code = parts[0][CODE]
    if code in table.FEES:
        return fee_of(parts[0], record, processed)
    if code not in table.DRAFTS:
        raise BadElement("positions 1-2", "a transaction code that moves money and is not read")
    kind, of, reversal = table.DRAFTS[code]
    first = parts[0]
    if kind is of and first[T0["usage"]] == table.AGAIN:
        kind = Kind.SECOND_PRESENTMENT
    by_number = {part[NUMBER]: part for part in parts}
    merchant, payment = by_number.get("1", ""), by_number.get("5", "")
    arn = first[T0["arn"]]
    if arn.strip(" 0") and not is_arn(arn):
        raise bad(table.TCR_0, "arn", "not an acquirer reference number")
    currency = currency_of(first, table.TCR_0, "destination_currency")
    transaction = shown(payment[T5["transaction_id"]])
    return ClearedItem(
        record=record,
        network=NETWORK,
        kind=kind,
        of=of,
        sign=sign_of(kind, of, reversal),
        reversal=reversal,
        pan=pan_of(first, table.TCR_0),
        transaction_minor=amount_of(first, table.TCR_0, "source_amount"),
        transaction_currency=currency_of(first, table.TCR_0, "source_currency", required=True),
        billing_minor=amount_of(first, table.TCR_0, "destination_amount") if currency else 0,
        billing_currency=currency,
        fees=interchange(payment, currency),
        arn=arn if arn.strip(" 0") else "",
        life_cycle=transaction if transaction.strip("0") else "",
        approval_code=shown(first[T0["approval_code"]]),
        local_date=day_of(first, table.TCR_0, processed),
        mcc=mcc_of(first),
        merchant_id=shown(merchant[T1["merchant_id"]]),
        merchant_name=name_of(first[T0["merchant_name"]]),
        merchant_city=name_of(first[T0["merchant_city"]]),
        merchant_country=shown(first[T0["merchant_country"]]),
        terminal_id=shown(merchant[T1["terminal_id"]]),
        acquirer_id=unfilled(first[T0["acquirer_id"]]),
        reason=unfilled(first[T0["reason"]]),
        reference=unfilled(merchant[T1["reference"]]),
        clearing_number=small(payment, "clearing_number"),
        clearing_count=small(payment, "clearing_count"),
    )


def fee_of(first: str, record: int, processed: date) -> ClearedItem:
    currency = currency_of(first, table.FEE_0, "destination_currency")
    transaction = shown(first[TF["transaction_id"]])
    return ClearedItem(
        record=record,
        network=NETWORK,
        kind=Kind.FEE,
        of=Kind.FEE,
        sign=table.FEES[first[CODE]],
        pan=pan_of(first, table.FEE_0) if first[TF["pan"]].strip(" 0") else None,
        transaction_minor=amount_of(first, table.FEE_0, "source_amount"),
        transaction_currency=currency_of(first, table.FEE_0, "source_currency", required=True),
        billing_minor=amount_of(first, table.FEE_0, "destination_amount") if currency else 0,
        billing_currency=currency,
        life_cycle=transaction if transaction.strip("0") else "",
        local_date=day_of(first, table.FEE_0, processed),
        merchant_country=shown(first[TF["merchant_country"]]),
        acquirer_id=unfilled(first[TF["source_bin"]]),
        reason=unfilled(first[TF["reason"]]),
    )


Layout = dict[str, table.Field]


def bad(layout: Layout, name: str, reason: str) -> BadElement:
    return BadElement(f"{name}, {table.place_of(layout, name)}", reason)


def cell_of(text: str, layout: Layout, name: str) -> str:
    start, length = layout[name]
    return text[start - 1 : start - 1 + length]


def pan_of(text: str, layout: Layout) -> Pan:
    extension = cell_of(text, layout, "pan_extension")
    digits = cell_of(text, layout, "pan") + (extension if extension.strip(" 0") else "")
    try:
        return Pan(digits)
    except ValueError:
        raise bad(layout, "pan", "not a card number") from None


def whole(cell: str) -> int:
    """A number, or what is none: then the trailer's sum is not ours, and the file is refused."""
    return int(cell) if cell.isascii() and cell.isdigit() else 0


def amount_of(text: str, layout: Layout, name: str) -> int:
    cell = cell_of(text, layout, name)
    if not (cell.isascii() and cell.isdigit()):
        raise bad(layout, name, "not an amount")
    return int(cell)


def currency_of(text: str, layout: Layout, name: str, required: bool = False) -> str:
    cell = cell_of(text, layout, name)
    if not required and not cell.strip(" 0"):
        return ""
    if not (cell.isascii() and cell.isdigit()) or cell == "000":
        raise bad(layout, name, "not a currency")
    return cell


def day_of(text: str, layout: Layout, processed: date) -> date | None:
    """MMDD, in the year that makes it the last such day before the file's; a day of grace, since
    some merchant is always ahead."""
    cell = cell_of(text, layout, "local_date")
    if not cell.strip(" 0"):
        return None
    if cell.isascii() and cell.isdigit():
        for year in range(processed.year + 1, processed.year - 9, -1):  # eight: 29 February
            try:
                day = date(year, int(cell[:2]), int(cell[2:]))
            except ValueError:
                continue
            if day <= processed + timedelta(days=1):
                return day
    raise bad(layout, "local_date", "not a date")


def mcc_of(text: str) -> str:
    cell = text[T0["mcc"]]
    if not cell.strip(" 0"):
        return ""
    if not (cell.isascii() and cell.isdigit()):
        raise bad(table.TCR_0, "mcc", "not a merchant category")
    return cell


def small(text: str, name: str) -> int:
    cell = text[T5[name]].strip()
    if cell and not (cell.isascii() and cell.isdigit()):
        raise bad(table.TCR_5, name, "not a number")
    return int(cell or 0)


def unfilled(cell: str) -> str:
    """What is all zeros or blanks says nothing."""
    return shown(cell) if cell.strip(" 0") else ""


def interchange(payment: str, currency: str) -> tuple[Fee, ...]:
    cell = payment[T5["fee"]]
    if not cell.strip(" 0"):
        return ()
    if not (cell.isascii() and cell.isdigit()):
        raise bad(table.TCR_5, "fee", "not an amount")
    sign = table.FEE_SIGNS.get(payment[T5["fee_sign"]], 0)
    amount = int(cell)
    return (Fee(name="interchange", sign=sign, amount=amount, currency=currency,
                decimals=table.FEE_DECIMALS),)  # fmt: skip


def julian(text: str) -> date:
    """YYDDD."""
    if not (text.isascii() and text.isdigit()):
        raise BadElement("", "not a date")
    year, day = 2000 + int(text[:2]), int(text[2:])
    found = date(year, 1, 1) + timedelta(days=day - 1)
    if found.year != year:
        raise BadElement("", "not a date")
    return found
