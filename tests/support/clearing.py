"""Cleared items to write files of: one by hand, and any that a format can say."""

import string
import traceback
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from io import BytesIO, StringIO
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.clearing.base2_writer import write_base2
from ledger.clearing.csv_file import write_csv
from ledger.clearing.ipm_writer import write_ipm
from ledger.clearing.pan import Pan
from ledger.clearing.record import (
    DISPUTED,
    FIRST,
    LIKE_A_PAN,
    ClearedItem,
    Fee,
    Kind,
    check_digit,
    sign_of,
)

TODAY = date(2026, 11, 21)
PAN = "9999991234567890"  # the canary: it is looked for wherever an error could hide it


def arn_of(number: int) -> str:
    digits = f"2{411111:06}6325{number:011}"
    return digits + check_digit(digits)


def item_of(number: int = 1, **changes: Any) -> ClearedItem:
    """A purchase that all three formats can say alike."""
    item = ClearedItem(
        record=number,
        network="mastercard",
        kind=Kind.PRESENTMENT,
        of=Kind.PRESENTMENT,
        sign=1,
        pan=Pan(PAN),
        transaction_minor=1000 + number,
        transaction_currency="978",
        billing_minor=1100 + number,
        billing_currency="840",
        arn=arn_of(number),
        approval_code="A1B2C3",
        local_date=TODAY - timedelta(days=1),
        mcc="5411",
        merchant_id="MERCHANT0000042",
        merchant_name="CORNER GROCERY",
        merchant_city="SPRINGFIELD",
        merchant_country="US",
        terminal_id="TERM0042",
        acquirer_id="41111100",
    )
    return replace(item, **changes)


def as_kind(kind: Kind, of: Kind | None = None, reversal: bool = False) -> dict[str, Any]:
    first = of or kind
    sign = 1 if kind is Kind.FEE else sign_of(kind, first, reversal)
    return {"kind": kind, "of": first, "reversal": reversal, "sign": sign}


KINDS = [
    (kind, of, reversal)
    for kind in Kind
    for of in (FIRST if kind in DISPUTED else (kind,))
    for reversal in (False, True)
]

digits = string.digits


def text(most: int, least: int = 0) -> st.SearchStrategy[str]:
    letters = st.sampled_from(string.ascii_letters + digits + " .,'\"-&/*")
    told = st.text(letters, min_size=least, max_size=most).map(str.strip)
    return told.filter(lambda t: LIKE_A_PAN.search(t) is None)  # a CSV refuses what is


def number(size: int) -> st.SearchStrategy[str]:
    return st.text(digits, min_size=size, max_size=size)


def maybe(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("") | strategy


dates = st.dates(date(2020, 1, 1), TODAY)
amounts = st.integers(0, 10**12 - 1)
currencies = st.sampled_from(["840", "978", "392", "414"])
rates = st.integers(1, 9_999_999).flatmap(
    lambda n: st.integers(0, 7).map(lambda p: f"{n // 10**p}.{n % 10**p:0{p}}" if p else str(n))
)
arns = st.integers(0, 10**11 - 1).map(arn_of)


@st.composite
def items(draw: st.DrawFn, network: str = "csv") -> ClearedItem:
    """Whatever every format can say."""
    kind, of, reversal = draw(st.sampled_from(KINDS))
    told = as_kind(kind, of, reversal)
    if kind is Kind.FEE:
        told["sign"] = draw(st.sampled_from([1, -1]))
    billing = draw(maybe(currencies))
    return ClearedItem(
        record=0,
        network=network,
        **told,
        pan=Pan(draw(number(16).filter(lambda d: d.strip("0")))),
        transaction_minor=draw(amounts),
        transaction_currency=draw(currencies),
        billing_minor=draw(amounts) if billing else 0,
        billing_currency=billing,
        local_date=draw(st.none() | dates),
        merchant_country=draw(maybe(st.sampled_from(["US", "DE", "GB"]))),
    )


@st.composite
def ipm_items(draw: st.DrawFn) -> ClearedItem:
    item = draw(items("mastercard"))
    settlement = draw(maybe(currencies))
    return replace(
        item,
        partial=item.kind in DISPUTED and draw(st.booleans()),
        pan=Pan(draw(st.integers(12, 19).flatmap(number))),
        settlement_minor=draw(amounts) if settlement else 0,
        settlement_currency=settlement,
        billing_rate=draw(maybe(rates)),
        settlement_rate=draw(maybe(rates)),
        arn=draw(maybe(arns)),
        life_cycle=draw(maybe(st.just("MDSABC123 1120"))),
        rrn=draw(maybe(number(12))),
        approval_code=draw(text(6)),
        local_time=draw(st.sampled_from(["000000", "235959"])) if item.local_date else "",
        mcc=draw(maybe(number(4))),
        merchant_id=draw(text(15)),
        merchant_name=draw(text(30)),
        merchant_city=draw(text(13)),
        terminal_id=draw(text(8)),
        acquirer_id=draw(maybe(number(11))),
        reason=draw(maybe(number(4))),
        reference=draw(maybe(number(10).filter(some))),
        fees=tuple(draw(st.lists(st.builds(
            Fee, name=number(2), sign=st.sampled_from([-1, 0, 1]), amount=amounts,
            currency=currencies), max_size=3))),
    )  # fmt: skip


@st.composite
def base2_items(draw: st.DrawFn) -> ClearedItem:
    item = draw(items("visa"))
    fee = item.kind is Kind.FEE
    if fee:
        item = replace(item, reversal=False)
    transaction = draw(maybe(number(15).filter(lambda d: d.strip("0"))))
    if fee:
        reasons = number(4)
        return replace(item, life_cycle=transaction, reason=draw(maybe(reasons.filter(some))),
                       acquirer_id=draw(maybe(number(6).filter(some))))  # fmt: skip
    fees = st.builds(
        Fee, name=st.just("interchange"), sign=st.sampled_from([-1, 0, 1]),
        amount=st.integers(1, 10**15 - 1), currency=st.just(item.billing_currency),
        decimals=st.just(6),
    )  # fmt: skip
    return replace(
        item,
        life_cycle=transaction,
        arn=draw(maybe(arns)),
        approval_code=draw(text(6)),
        mcc=draw(maybe(number(4).filter(some))),
        merchant_id=draw(text(15)),
        merchant_name=draw(text(25)),
        merchant_city=draw(text(13)),
        terminal_id=draw(text(8)),
        acquirer_id=draw(maybe(number(8).filter(some))),
        reason=draw(maybe(number(2).filter(some))),
        reference=draw(maybe(number(6).filter(some))),
        clearing_number=draw(st.integers(0, 99)),
        clearing_count=draw(st.integers(0, 99)),
        fees=tuple(draw(st.lists(fees, max_size=1))),
    )


def some(cell: str) -> bool:
    return bool(cell.strip("0"))


@st.composite
def csv_items(draw: st.DrawFn) -> ClearedItem:
    item = draw(ipm_items())
    return replace(
        item,
        fees=(),
        local_date=draw(st.none() | dates),
        stan=draw(maybe(number(6))),
        clearing_number=draw(st.integers(0, 99)),
        clearing_count=draw(st.integers(0, 99)),
    )


def ipm(told: Iterable[ClearedItem], **options: Any) -> bytes:
    return written(write_ipm, told, options)


def base2(told: Iterable[ClearedItem], **options: Any) -> bytes:
    return written(write_base2, told, options)


def written(write: Callable[..., None], told: Iterable[ClearedItem], options: Any) -> bytes:
    stream = BytesIO()
    write(told, stream, business_date=TODAY, **options)
    return stream.getvalue()


def csv(told: Iterable[ClearedItem], **options: Any) -> bytes:
    stream = StringIO()
    write_csv(told, stream, business_date=TODAY, **options)
    return stream.getvalue().encode()


def no_canary(error: BaseException | None) -> None:
    """In no place of it, nor of what it was raised from."""
    while error is not None:
        printed = "".join(traceback.format_exception(error))
        for place in (str(error), repr(error), error.args, vars(error), printed):
            assert PAN[6:12] not in str(place)
        assert not hasattr(error, "object")  # a UnicodeDecodeError holds the line
        error = error.__context__
