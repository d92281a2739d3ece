"""Cleared items as a Mastercard IPM file: chargebacks that we send, and files for tests."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import BinaryIO

from ledger.clearing import ipm_table as table
from ledger.clearing.errors import CannotWrite
from ledger.clearing.ipm_frames import CODECS, FrameWriter
from ledger.clearing.ipm_message import write_message, write_pds
from ledger.clearing.record import ClearedItem, Fee, Kind

FILE_TYPE = "001"  # * of PDS 0105
FEE_COLLECTION = "700"
RECONCILIATION = "0" * 15  # of a fee: the currency and amount that it is settled in, not told


def write_ipm(
    items: Iterable[ClearedItem],
    stream: BinaryIO,
    *,
    business_date: date,
    encoding: str = "ebcdic",
    blocked: bool = True,
    processor_id: str = "0",
    sequence: int = 1,
    test: bool = True,
) -> None:
    """What an item tells that IPM has no place for is left out; what does not fit is refused.

    Raises: CannotWrite; part of the file is written then.
    """
    codec = CODECS[encoding]
    frames = FrameWriter(stream, blocked)
    file_id = f"{FILE_TYPE}{business_date:%y%m%d}{processor_id:0>11}{sequence:05}"
    if len(file_id) != table.FILE_ID_SIZE or not file_id.isdigit():
        raise CannotWrite(f"PDS {table.FILE_ID}", "processor or sequence does not fit")
    header = {table.FILE_ID: file_id, table.MODE: "T" if test else "P"}
    number, amount = 1, 0
    frames.write(administrative(table.HEADER, header, number, codec))
    for item in items:
        number += 1
        amount += item.transaction_minor
        mti, elements = message_of(item)
        frames.write(write_message(mti, elements | {71: f"{number:08}"}, codec))
    number += 1
    trailer = {
        table.FILE_ID: file_id,
        table.CHECKSUM: f"{amount % 10**16:016}",
        table.COUNT: f"{number:08}",
    }
    frames.write(administrative(table.TRAILER, trailer, number, codec))
    frames.close()


def administrative(function: str, pds: dict[str, str], number: int, codec: str) -> bytes:
    elements = {24: function, 71: f"{number:08}"} | write_pds(pds)
    return write_message(table.ADMINISTRATIVE, elements, codec)


def message_of(item: ClearedItem) -> tuple[str, dict[int, str]]:
    """Its MTI and all its elements but the message number. Raises: CannotWrite."""
    mti, function, processing = function_of(item)
    pds = {table.REVERSAL: "R"} if item.reversal else {}
    fee = item.kind is Kind.FEE
    if fee and item.reference:
        pds[table.FEE_NUMBER] = item.reference
    if item.fees:
        pds[table.FEES] = "".join(fee_of(fee) for fee in item.fees)
    elements = {
        2: item.pan.reveal() if item.pan else "",
        3: processing,
        4: amount(4, item.transaction_minor),
        5: amount(5, item.settlement_minor) if item.settlement_currency else "",
        6: amount(6, item.billing_minor) if item.billing_currency else "",
        9: rate(9, item.settlement_rate),
        10: rate(10, item.billing_rate),
        12: local(item),
        24: function,
        25: item.reason,
        26: item.mcc,
        31: item.arn,
        32: item.acquirer_id,
        37: item.rrn and f"{item.rrn:<12}",
        38: item.approval_code and f"{item.approval_code:<6}",
        41: item.terminal_id and f"{item.terminal_id:<8}",
        42: item.merchant_id and f"{item.merchant_id:<15}",
        43: place(item),
        49: item.transaction_currency,
        50: item.settlement_currency,
        51: item.billing_currency,
        63: life_cycle(item.life_cycle),
        95: "" if fee else item.reference,
    }
    told = {number: value for number, value in elements.items() if value}
    return mti, told | write_pds(pds)


def function_of(item: ClearedItem) -> tuple[str, str, str]:
    """MTI, DE 24 and DE 3."""
    if item.kind is Kind.FEE:
        sign = -item.sign if item.reversal else item.sign
        code = next(code for code, known in table.FEE_SIGNS.items() if known == sign)
        return table.FEE, FEE_COLLECTION, f"{code}0000"
    processing = table.PROCESSING_OF[item.of]
    if item.kind is item.of:
        return table.PRESENTMENT, "200", processing
    return (*table.FUNCTION_OF[item.kind, item.partial], processing)


def amount(number: int, minor: int) -> str:
    if not 0 <= minor < 10**12:
        raise CannotWrite(f"DE {number}", "above twelve digits")
    return f"{minor:012}"


def rate(number: int, text: str) -> str:
    """With as many digits behind the point as it has."""
    if not text:
        return ""
    value = Decimal(text)
    places = max(0, -int(value.as_tuple().exponent))
    digits = int(value.scaleb(places))
    if places > 7 or digits >= 10**7:
        raise CannotWrite(f"DE {number}", "above seven digits")
    return f"{places}{digits:07}"


def local(item: ClearedItem) -> str:
    return f"{item.local_date:%y%m%d}{item.local_time or '000000'}" if item.local_date else ""


def place(item: ClearedItem) -> str:
    name, city, country = item.merchant_name, item.merchant_city, item.merchant_country
    if not (name or city or country):
        return ""
    if "\\" in name + city + country:
        raise CannotWrite("DE 43", "has the character that divides it")
    return f"{name}\\ \\{city}\\{'':13}{country:<3}"


def life_cycle(text: str) -> str:
    if not text:
        return ""
    reference, _, day = text.rpartition(" ")
    if not 1 <= len(reference) <= 9 or len(day) != 4:
        raise CannotWrite("DE 63", "not a reference of up to nine characters and a date")
    return f" {reference:<9}{day}  "


def fee_of(fee: Fee) -> str:
    code = next((code for code, sign in table.FEE_SIGNS.items() if sign == fee.sign), "00")
    if fee.decimals != -1 or len(fee.name) > 2 or len(fee.currency) != 3:
        raise CannotWrite(f"PDS {table.FEES}", "not a fee as this network tells it")
    return f"{fee.name:<2}{code}00{fee.currency}{amount(4, fee.amount)}{RECONCILIATION}"
