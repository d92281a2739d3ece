"""Networks' own totals, as their clearing files carry them beside the items.

Mastercard: 1644 with function 685, one for each part of what was reconciled; all of one currency
and day are added up *. Visa: TC 46 with report VSS-110, the issuer's rows *.

Source: public programs that read such records, which agree on places and signs: D is what we pay,
C what we are paid. Values marked * are a reading of these, not a quoted rule.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from msgspec import Struct

from ledger.clearing import base2, base2_frames, base2_table, ipm, ipm_frames, ipm_table
from ledger.clearing.errors import BadElement, ClearingRefused, Problem
from ledger.clearing.ipm_message import is_digits, read_message
from ledger.clearing.reading import read_clearing
from ledger.clearing.source import Source

POSITION = "685"  # DE 24 of a 1644: a financial position
RECONCILED = "0300"  # the file that it is of; its date is YYMMDD from the fourth
NET, CHARGES = "0394", "0395"  # in DE 50's currency: D or C, and 16 digits; of items, of fees
COUNT = "0402"  # of items

TC_46 = "46"
VSS_110: dict[str, base2_table.Field] = {
    "component": (4, 1),
    "currency": (50, 3),
    "report": (59, 5),  # group, subgroup, number
    "to_date": (87, 7),  # YYYYDDD: the last business day that it counts *
    "amount_type": (94, 1),
    "mode": (95, 1),
    "count": (96, 15),
    "credit": (111, 15),
    "debit": (126, 15),
    "net": (141, 15),
    "sign": (156, 2),
}
VSS = base2_table.slices(VSS_110)
SUMMARY, ISSUER = "V2110", "2"
ITEMS, REIMBURSEMENT = "I", "F"  # amount types: what was exchanged, and interchange on it
SIGNS = {"CR": 1, "DB": -1, "C": 1, "D": -1}


class Summary(Struct):
    """What a network says of one currency and day. Minor units; above zero is ours."""

    record: int  # the first that it is from
    network: str
    currency: str
    day: date
    told: dict[str, int]  # items, net_minor and others, as batches call them

    def add(self, name: str, amount: int) -> None:
        self.told[name] = self.told.get(name, 0) + amount


class BadSummary(Exception):
    """A total cannot be read. Says where, never what."""


def read_summaries(path: Path) -> tuple[str, list[Summary]]:
    """A file's id, and the totals in it; the file is verified like any clearing file first.

    Raises: OSError, ClearingRefused, BadSummary.
    """
    file = read_clearing(path)
    found: dict[tuple[str, date], Summary] = {}
    with Source(path) as source:
        for record, network, currency, day, told in scan(source):
            one = found.setdefault((currency, day), Summary(record, network, currency, day, {}))
            for name, amount in told.items():
                one.add(name, amount)
        if source.digest != file.file_id:
            raise ClearingRefused(Problem.CHANGED)
    return file.file_id, sorted(found.values(), key=lambda one: one.record)


Row = tuple[int, str, str, date, dict[str, int]]


def scan(source: Source) -> Iterator[Row]:
    if (shape := ipm_frames.find_shape(source.sample)) is not None:
        for record, raw in enumerate(ipm_frames.read_frames(source, shape.blocked), 1):
            try:
                yield from of_ipm(raw, shape.codec, record)
            except BadElement as bad:
                raise BadSummary(f"record {record}, {bad.element}: {bad}") from None
    elif (lines := base2_frames.find_shape(source.sample)) is not None:
        for record, text in enumerate(base2_frames.read_frames(source, lines), 1):
            if text[base2.CODE] == TC_46 and text[VSS["report"]] == SUMMARY:
                try:
                    yield from of_base2(text, record)
                except BadElement as bad:
                    raise BadSummary(f"record {record}, {bad.element}: {bad}") from None


def of_ipm(raw: bytes, codec: str, record: int) -> Iterator[Row]:
    """Raises: BadElement."""
    if raw[:4] != ipm_table.ADMINISTRATIVE.encode(codec):
        return
    message = read_message(raw, codec)
    if message.elements.get(24) != POSITION:
        return
    pds = message.pds()
    day = ipm.read_date(pds.get(RECONCILED, "")[3:9], f"PDS {RECONCILED}")
    currency = message.elements.get(50, "")
    if not is_digits(currency, 3):
        raise BadElement("DE 50", "not a currency")
    told = {"net_minor": signed(pds.get(NET, ""), NET)}
    if CHARGES in pds:
        told["charges_minor"] = signed(pds[CHARGES], CHARGES)
    if COUNT in pds:
        if not is_digits(pds[COUNT], len(pds[COUNT])):
            raise BadElement(f"PDS {COUNT}", "not a number")
        told["items"] = int(pds[COUNT])
    yield record, ipm.NETWORK, currency, day, told


def signed(text: str, tag: str) -> int:
    if text[:1] not in SIGNS or not is_digits(text[1:], 16):
        raise BadElement(f"PDS {tag}", "not an amount with D or C")
    return SIGNS[text[0]] * int(text[1:])


def of_base2(text: str, record: int) -> Iterator[Row]:
    """Raises: BadElement."""
    kind = text[VSS["amount_type"]]
    if text[VSS["component"]] != "0" or text[VSS["mode"]] != ISSUER:
        return
    if kind not in (ITEMS, REIMBURSEMENT):
        return
    numbers = {}
    for name in ("count", "credit", "debit", "net"):
        cell = text[VSS[name]].strip()
        if not is_digits(cell, len(cell)):
            raise BadElement(base2_table.place_of(VSS_110, name), "not a number")
        numbers[name] = int(cell)
    sign = SIGNS.get(text[VSS["sign"]].strip(), 0)
    if numbers["net"] and not sign:
        raise BadElement(base2_table.place_of(VSS_110, "sign"), "neither CR nor DB")
    net = sign * numbers["net"]
    if net != numbers["credit"] - numbers["debit"]:
        raise BadElement(base2_table.place_of(VSS_110, "net"), "not credit less debit")
    currency, day = text[VSS["currency"]], text[VSS["to_date"]]
    if not is_digits(currency, 3):
        raise BadElement(base2_table.place_of(VSS_110, "currency"), "not a currency")
    if not is_digits(day, 7) or day[:2] != "20":
        raise BadElement(base2_table.place_of(VSS_110, "to_date"), "not a date")
    told = {
        "items": numbers["count"],
        "debit_minor": numbers["credit"],  # to the credit of us is owed to us
        "credit_minor": numbers["debit"],
        "net_minor": net,
    }
    if kind == REIMBURSEMENT:
        told = {"interchange_minor": net}
    yield record, base2.NETWORK, currency, base2.julian(day[2:]), told
