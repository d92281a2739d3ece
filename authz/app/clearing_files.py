"""The simulated network's clearing files: its presentments in its own format, and a manifest.

A file holds card numbers, as a real one does, so only its owner may read it. The manifest beside it
holds none: for each record it says what must become of it.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

import iso3166
from msgspec import Struct

from authz.app.output import write_json
from authz.simulator.cards import Population
from authz.simulator.clearing import Presentment, clear
from authz.simulator.messages import Event
from authz.simulator.places import CURRENCIES
from authz.simulator.report import Report
from ledger.clearing.base2_writer import write_base2
from ledger.clearing.csv_file import write_csv
from ledger.clearing.ipm_writer import write_ipm
from ledger.clearing.pan import Pan
from ledger.clearing.reading import read_clearing
from ledger.clearing.record import ClearedItem, Fee, Kind, sign_of

FORMATS = {"mastercard": "ipm", "visa": "base2"}  # of all others: csv
DECIMALS = {currency.numeric: currency.decimals for currency in CURRENCIES.values()}
LATE_DAYS = 45  # behind the others: no hold of the default policy lasts so long
FILES_MAX = 999  # of one network and day: BASE II numbers them with three digits


class Expected(Struct, frozen=True):
    """What must become of one record."""

    record: int
    expected: str
    story: str
    arn: str
    transaction_minor: int
    transaction_currency: str
    authorization: str  # MTI, DE 7, 11 and 32; "" where there is none


class Manifest(Struct, frozen=True):
    """What is in a clearing file. It holds no card number."""

    file: str
    network: str
    format: str
    business_date: date
    after_expiry: bool  # to be cleared when the holds of its records have ended
    counts: dict[str, int]  # by what is expected
    records: list[Expected]
    missing: list[str]  # approved, and in no file


def write_clearing(
    folder: Path, network: str, events: Iterable[Event], report: Report, population: Population, *,
    seed: int, day: date, first_number: int = 0,
) -> list[Path]:  # fmt: skip
    """The files of one run, dated the day after `day`; each with a manifest (`.json` behind its
    name). Raises: OSError, CannotWrite.

    What is expected holds where the network's file is what posts (`clearing.by_file`).
    """
    format = FORMATS.get(network, "csv")
    cleared = clear(
        network, events, report, population, seed=seed, day=day, first_number=first_number,
        counts_parts=format != "ipm",
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    due = day + timedelta(days=1)
    for late, on in ((False, due), (True, due + timedelta(days=LATE_DAYS))):
        told = [one for one in cleared.presentments if one.late == late]
        if told:
            missing = [] if late else list(cleared.missing)
            files.append(write_file(folder, network, format, on, told, late, missing))
    return files


def write_file(
    folder: Path, network: str, format: str, on: date, told: Sequence[Presentment], late: bool,
    missing: list[str],
) -> Path:  # fmt: skip
    path, number = free_name(folder, network, on, format)
    items = [item_of(one, network, format) for one in told]
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        try:
            WRITERS[format](items, stream, on, number)
        except BaseException:
            path.unlink()  # half a file is none
            raise
    # Read back: records are numbered by whoever reads the file.
    numbers = [item.record for item in read_clearing(path).items()]
    assert len(numbers) == len(told), "a record that was written is not read"
    counts: dict[str, int] = {}
    for one in told:
        counts[one.expected] = counts.get(one.expected, 0) + 1
    records = [
        Expected(number, one.expected, one.story, one.arn, one.transaction_minor,
                 one.transaction_currency, one.authorization)
        for number, one in zip(numbers, told)
    ]  # fmt: skip
    manifest = Manifest(path.name, network, format, on, late, dict(sorted(counts.items())),
                        records, missing)  # fmt: skip
    write_json(f"{path}.json", manifest)
    return path


def free_name(folder: Path, network: str, on: date, format: str) -> tuple[Path, int]:
    """The next number of the day. Raises: OSError, where there is none left."""
    for number in range(1, FILES_MAX + 1):
        path = folder / f"{network}-{on}-{number}.{format}"
        if not path.exists():
            return path, number
    raise OSError(0, f"there are {FILES_MAX} clearing files of that day already")


def item_of(one: Presentment, network: str, format: str) -> ClearedItem:
    """In the words of its format: what that has no place for is left out by its writer."""
    kind = Kind(one.kind)
    told: dict[str, Any] = {
        name: getattr(one, name)
        for name in (
            "reversal", "transaction_minor", "transaction_currency", "arn", "life_cycle", "rrn",
            "approval_code", "local_date", "local_time", "mcc", "merchant_id", "merchant_name",
            "merchant_city", "terminal_id", "reference",
        )
    }  # fmt: skip
    told["sign"] = 1 if kind is Kind.FEE else sign_of(kind, kind, one.reversal)
    told["pan"] = Pan(one.pan) if one.pan else None
    told["merchant_country"] = one.merchant_country
    told["acquirer_id"] = one.acquirer_id[-8:]
    converted = one.billing_currency != one.transaction_currency
    if converted or format == "base2":  # which always says what the destination is billed
        told |= {"billing_minor": one.billing_minor, "billing_currency": one.billing_currency}
    if format == "ipm" and one.merchant_country:
        told["merchant_country"] = iso3166.countries_by_alpha2[one.merchant_country].alpha3
    if format != "base2":
        told |= {"settlement_minor": one.billing_minor, "settlement_currency": one.billing_currency}
    if format != "ipm":
        told |= {"clearing_number": one.number, "clearing_count": one.count}
    return ClearedItem(
        record=0, network=network, kind=kind, of=kind, fees=fees_of(one, format), **told
    )


def fees_of(one: Presentment, format: str) -> tuple[Fee, ...]:
    """Interchange, which we are given: of a reversal and a refund it goes back."""
    if format == "csv" or not one.interchange_minor or one.kind == "fee":
        return ()
    sign = 1 if one.reversal or one.kind == "refund" else -1
    name, amount, decimals = "00", one.interchange_minor, -1
    if format == "base2":
        name, decimals = "interchange", 6
        amount *= 10 ** (decimals - DECIMALS[one.billing_currency])
    return (Fee(name=name, sign=sign, amount=amount, currency=one.billing_currency,
                decimals=decimals),)  # fmt: skip


def as_ipm(items: Sequence[ClearedItem], stream: IO[bytes], on: date, number: int) -> None:
    write_ipm(items, stream, business_date=on, sequence=number)  # type: ignore[arg-type]


def as_base2(items: Sequence[ClearedItem], stream: IO[bytes], on: date, number: int) -> None:
    write_base2(items, stream, business_date=on, file_number=number)  # type: ignore[arg-type]


def as_csv(items: Sequence[ClearedItem], stream: IO[bytes], on: date, number: int) -> None:
    text = TextIOWrapper(stream, encoding="utf-8", newline="")
    write_csv(items, text, business_date=on, network=items[0].network)
    text.flush()
    text.detach()


WRITERS: dict[str, Callable[[Sequence[ClearedItem], IO[bytes], date, int], None]] = {
    "ipm": as_ipm, "base2": as_base2, "csv": as_csv,
}  # fmt: skip
