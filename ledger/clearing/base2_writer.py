"""Cleared items as a Visa BASE II file: chargebacks that we send, and files for tests."""

from collections.abc import Iterable
from datetime import date
from typing import BinaryIO, Final

from ledger.clearing import base2_table as table
from ledger.clearing.base2 import Sums
from ledger.clearing.base2_frames import CODECS
from ledger.clearing.errors import CannotWrite
from ledger.clearing.pan import Pan
from ledger.clearing.record import ClearedItem, Fee, Kind

BATCH_MAX: Final = 950  # * transactions of one batch


def write_base2(
    items: Iterable[ClearedItem],
    stream: BinaryIO,
    *,
    business_date: date,
    encoding: str = "ascii",
    end: bytes = b"\n",
    processing_bin: str = "0",
    file_number: int = 1,
    test: bool = True,
    batch_max: int = BATCH_MAX,
) -> None:
    """What an item tells that BASE II has no place for is left out; what does not fit is refused.
    Trailers count themselves.

    Raises: CannotWrite; part of the file is written then.
    """
    codec = CODECS[encoding]

    def put(record: str) -> None:
        stream.write(record.encode(codec) + end)

    stamp = f"{business_date:%y%j}"
    put(placed(table.HEADER, table.FILE_HEADER, {
        "processing_bin": f"{processing_bin:0>6}", "date": stamp,
        "test": "TEST" if test else "", "file_number": f"{file_number:03}",
    }))  # fmt: skip
    batch, file, batches = Sums(), Sums(), 0
    for item in items:
        records = records_of(item, f"{business_date:%y%j}"[1:])
        for record in records:
            put(record)
        batch.add(Sums(1, len(records), 1, item.transaction_minor, item.billing_minor))
        if batch.transactions == batch_max:
            batches += 1
            put(trailer(table.BATCH, batch, stamp, batches))
            file.add(batch)
            batch = Sums()
    if batch.transactions or not batches:
        batches += 1
        put(trailer(table.BATCH, batch, stamp, batches))
        file.add(batch)
    file.add(Sums(records=batches, transactions=batches))
    put(trailer(table.FILE, file, stamp, batches))


def trailer(code: str, sums: Sums, stamp: str, batch: int) -> str:
    return placed(f"{code}00", table.FILE_TRAILER, {
        "bin": "000000", "date": stamp, "batch": f"{batch:06}",
        "monetary": f"{sums.monetary:012}",
        "records": f"{sums.records + 1:012}",
        "transactions": f"{sums.transactions + 1:09}",
        "source_amount": f"{sums.source_amount % 10**15:015}",
        "destination_amount": f"{sums.destination_amount % 10**15:015}",
    })  # fmt: skip


def placed(lead: str, layout: dict[str, table.Field], values: dict[str, str]) -> str:
    """One record: blanks, and each value at its place. Raises: CannotWrite."""
    record = list(lead.ljust(table.SIZE))
    for name, value in values.items():
        start, length = layout[name]
        if len(value) > length:
            raise CannotWrite(name, f"above {length} characters")
        if not (value.isascii() and (value.isprintable() or not value)):
            raise CannotWrite(name, "characters beyond ASCII, or none that print")
        record[start - 1 : start - 1 + length] = value.ljust(length)
    return "".join(record)


def records_of(item: ClearedItem, processing_date: str) -> list[str]:
    """Raises: CannotWrite."""
    if item.kind is Kind.FEE:
        return [fee_record(item, processing_date)]
    again = item.kind is Kind.SECOND_PRESENTMENT
    code = table.CODES[item.of if again else item.kind, item.of, item.reversal]
    main, extension = split(item.pan)
    records = [placed(f"{code}00", table.TCR_0, amounts(item) | {
        "pan": main, "pan_extension": extension, "arn": item.arn or "0" * 23,
        "acquirer_id": item.acquirer_id or "0" * 8, "local_date": day(item),
        "merchant_name": item.merchant_name, "merchant_city": item.merchant_city,
        "merchant_country": item.merchant_country, "mcc": item.mcc or "0000",
        "usage": table.AGAIN if again else table.FIRST, "reason": item.reason or "00",
        "approval_code": item.approval_code, "processing_date": processing_date,
    })]  # fmt: skip
    if item.merchant_id or item.terminal_id or item.reference:
        records.append(placed(f"{code}01", table.TCR_1, {
            "reference": item.reference or "000000", "merchant_id": item.merchant_id,
            "terminal_id": item.terminal_id,
        }))  # fmt: skip
    fee, sign = interchange(item.fees)
    if item.life_cycle or item.clearing_number or item.clearing_count or fee:
        records.append(placed(f"{code}05", table.TCR_5, {
            "transaction_id": item.life_cycle or "0" * 15,
            "clearing_number": f"{item.clearing_number:02}",
            "clearing_count": f"{item.clearing_count:02}",
            "fee": fee or "0" * 15, "fee_sign": sign,
        }))  # fmt: skip
    return records


def fee_record(item: ClearedItem, processing_date: str) -> str:
    if item.reversal:
        raise CannotWrite("kind", "the reversal of a fee")
    code = next(code for code, sign in table.FEES.items() if sign == item.sign)
    main, extension = split(item.pan) if item.pan else ("0" * 16, "000")
    return placed(f"{code}00", table.FEE_0, amounts(item) | {
        "source_bin": item.acquirer_id or "000000", "reason": item.reason or "0000",
        "merchant_country": item.merchant_country, "local_date": day(item),
        "pan": main, "pan_extension": extension,
        "transaction_id": item.life_cycle or "0" * 15, "processing_date": processing_date,
    })  # fmt: skip


def amounts(item: ClearedItem) -> dict[str, str]:
    if item.billing_minor and not item.billing_currency:
        raise CannotWrite("destination_currency", "is missing")
    return {
        "source_amount": f"{item.transaction_minor:012}",
        "source_currency": item.transaction_currency,
        "destination_amount": f"{item.billing_minor:012}",
        "destination_currency": item.billing_currency or "000",
    }


def split(pan: Pan | None) -> tuple[str, str]:
    digits = pan.reveal() if pan else ""
    if len(digits) == 16:
        return digits, "000"
    if len(digits) != 19 or digits.endswith("000"):
        raise CannotWrite("pan", "not of 16 digits, nor of 19 with an extension")
    return digits[:16], digits[16:]


def day(item: ClearedItem) -> str:
    return f"{item.local_date:%m%d}" if item.local_date else "0000"


def interchange(fees: tuple[Fee, ...]) -> tuple[str, str]:
    """The one that there is room for, and its sign."""
    if not fees:
        return "", ""
    [fee, *more] = fees
    if more or fee.decimals != table.FEE_DECIMALS:
        raise CannotWrite("fee", "not the one fee that this network tells")
    sign = next((letter for letter, known in table.FEE_SIGNS.items() if known == fee.sign), "")
    return f"{fee.amount:015}", sign
