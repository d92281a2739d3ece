"""Any clearing file: which format it is, whether it may be used, and what is in it.

Read twice. `read_clearing` goes through all of it and keeps nothing but counts: framing, order,
trailers, every element of every record. Only then does `ClearingFile.items` give the items, out of
a second reading that must give the same bytes. So a file that is damaged at its end has posted
nothing, and a file of any length takes little memory.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from msgspec import Struct

from ledger.clearing import base2_frames, ipm_frames
from ledger.clearing.base2 import scan_base2
from ledger.clearing.csv_file import looks_like_csv, scan_csv
from ledger.clearing.errors import LISTED_MAX, BadRecord, ClearingRefused, Problem
from ledger.clearing.ipm import scan_ipm
from ledger.clearing.ipm_table import MTIS
from ledger.clearing.record import ClearedItem, Seen
from ledger.clearing.source import Found, Scan, Source, Told

TWICE = "the same as an earlier record"


class Total(Struct, frozen=True):
    """Of one currency and kind, over the items that may be used."""

    count: int
    minor: int  # their transaction amounts, unsigned
    owed: int  # the same with their signs: what is to be paid, less what is to be given back


class ClearingFile(Struct, frozen=True, kw_only=True):
    """A file that was read through and may be used. Its bad records may not."""

    path: Path
    file_id: str  # SHA-256 of its bytes: the same file twice has the same
    format: str  # ipm | base2 | csv
    shape: str  # encoding and blocking, for a person
    network: str
    network_file_ids: tuple[str, ...]  # the same file in another encoding or blocking, too
    business_date: date | None
    records: int  # headers and trailers too
    item_count: int
    others: int  # records that are no items: addenda, texts
    totals: dict[tuple[str, str], Total]  # by transaction currency and ClearedItem.name
    bad_count: int
    bad: tuple[BadRecord, ...]  # the first LISTED_MAX of them

    def items(self) -> Iterator[ClearedItem]:
        """Every item that may be used, in the file's order. Raises as `found`."""
        return (found for found in self.found() if isinstance(found, ClearedItem))

    def found(self) -> Iterator[Found]:
        """The same with the bad records between them.

        Raises: ClearingRefused at the end, where the file is not what it was when it was checked:
        so what is kept of it is kept in one transaction.
        """
        told = Told()
        with opened(self.path, told) as (source, _, scan):
            yield from without_repeats(scan)
            if source.digest != self.file_id:
                raise ClearingRefused(Problem.CHANGED)


def read_clearing(path: Path | str) -> ClearingFile:
    """Raises: OSError; ClearingRefused, with the bad records that were found on the way."""
    told, bad_count = Told(), 0
    counts: dict[tuple[str, str], list[int]] = {}
    try:
        with opened(Path(path), told) as (source, (name, shape), scan):
            for found in without_repeats(scan):
                if isinstance(found, BadRecord):
                    bad_count += 1
                    if len(told.bad) < LISTED_MAX:
                        told.bad.append(found)
                    continue
                total = counts.setdefault((found.transaction_currency, found.name), [0, 0, 0])
                total[0] += 1
                total[1] += found.transaction_minor
                total[2] += found.sign * found.transaction_minor
            file_id = source.digest
    except ClearingRefused as refused:
        refused.bad = tuple(told.bad)
        raise
    return ClearingFile(
        path=Path(path),
        file_id=file_id,
        format=name,
        shape=shape,
        network=told.network,
        network_file_ids=tuple(told.network_file_ids),
        business_date=told.business_date,
        records=told.records,
        item_count=sum(count for count, *_ in counts.values()),
        others=told.others,
        totals={key: Total(*total) for key, total in sorted(counts.items())},
        bad_count=bad_count,
        bad=tuple(told.bad),
    )


@contextmanager
def opened(path: Path, told: Told) -> Iterator[tuple[Source, tuple[str, str], Scan]]:
    with Source(path) as source:
        name, shape, scan = find_format(source.sample)
        yield source, (name, shape), scan(source, told)


def find_format(sample: bytes) -> tuple[str, str, Callable[[Source, Told], Scan]]:
    """Raises: ClearingRefused, with what it looks like instead."""
    if (ipm := ipm_frames.find_shape(sample)) is not None:
        return "ipm", repr(ipm), lambda source, told: scan_ipm(source, ipm, told)
    if (base2 := base2_frames.find_shape(sample)) is not None:
        return "base2", repr(base2), lambda source, told: scan_base2(source, base2, told)
    if looks_like_csv(sample):
        return "csv", "UTF-8", scan_csv
    raise ClearingRefused(Problem.UNKNOWN_FORMAT, element=looks_like(sample))


def looks_like(sample: bytes) -> str:
    """What people hand over as a clearing file: cardutil's issues 7, 9, 14 and 17 have them all."""
    for codec in ipm_frames.CODECS.values():
        if sample[:4] in {mti.encode(codec) for mti in MTIS}:
            return "an IPM message without its length before it"
    size = int.from_bytes(sample[:4])
    if ipm_frames.HEAD <= size <= ipm_frames.RECORD_MAX:
        return "records with lengths, but not of IPM messages: a report or parameter file?"
    if sample[:4] == b"PK\x03\x04" or sample[:2] == b"\x1f\x8b":
        return "a compressed file: unpack it first"
    if b"," in sample[:200] or b";" in sample[:200]:
        return "a text with columns, but not kind, transaction_minor and transaction_currency"
    return ""


def without_repeats(scan: Scan) -> Iterator[Found]:
    """An item that stood in the file before is a bad record."""
    seen = Seen(os.urandom(32))
    for found in scan:
        if isinstance(found, ClearedItem) and seen.again(found):
            yield BadRecord(found.record, "", TWICE)
        else:
            yield found
