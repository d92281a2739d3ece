"""From data elements to what a network says about itself. No card number is read here."""

from datetime import UTC, date, datetime, timedelta

from authz.wire import elements
from authz.wire.elements import BadElement
from authz.wire.totals import told_totals
from iso8583.message import Message
from rules.notices import DAYS_KEPT, Administrative, CutOver, Reconciliation

EPOCH = date(1970, 1, 1)
# A business day may lie so far from today: the longest holidays, and no slip of a month or year,
# since no message takes back a day that has begun; a person can (authz network day).
DAYS_AWAY_MAX = 10


def to_cut_over(message: Message, network: str, now_ms: int) -> CutOver:
    """What a network management message says of its day. Raises: BadElement."""
    return CutOver(
        network=network,
        mti=message.mti,
        stan=elements.required(message, 11),
        sent_at=elements.transmission_time(message, now_ms),
        forwarder_id=elements.text(message, 33),
        day=business_day(message, now_ms) if 15 in message else 0,
    )


def to_reconciliation(message: Message, network: str, now_ms: int) -> Reconciliation:
    """What a 0500 asks, and the totals that it carries. Raises: BadElement."""
    settled_in = 50 if 50 in message else 49
    return Reconciliation(
        network=network,
        mti=message.mti,
        stan=elements.required(message, 11),
        sent_at=elements.transmission_time(message, now_ms),
        acquirer_id=elements.text(message, 32),
        forwarder_id=elements.text(message, 33),
        day=business_day(message, now_ms, DAYS_KEPT) if 15 in message else 0,
        currency=elements.currency(elements.text(message, settled_in), settled_in),
        told=told_totals(message),
    )


def to_administrative(message: Message, network: str, now_ms: int) -> Administrative:
    """That a 0620 came. Its text may hold a card number, so none is kept. Raises: BadElement."""
    return Administrative(
        network=network,
        mti=message.mti,
        stan=elements.required(message, 11),
        sent_at=elements.transmission_time(message, now_ms),
        acquirer_id=elements.text(message, 32),
        forwarder_id=elements.text(message, 33),
        elements=tuple(message),
    )


def business_day(message: Message, now_ms: int, away_max: int = DAYS_AWAY_MAX) -> int:
    """DE 15 in days since 1970: MMDD with the nearest year, or YYMMDD. Raises: BadElement."""
    digits = elements.required(message, 15)
    today = now_ms // 86_400_000
    if not (len(digits) in (4, 6) and digits.isascii() and digits.isdigit()):
        raise BadElement(15, "not a date")
    this_year = (EPOCH + timedelta(days=today)).year
    if len(digits) == 6:
        years, digits = [this_year // 100 * 100 + int(digits[:2])], digits[2:]
    else:
        years = [this_year - 1, this_year, this_year + 1]
    days = []
    for year in years:
        try:
            at = datetime(year, int(digits[:2]), int(digits[2:]), tzinfo=UTC)
        except ValueError:
            continue
        days.append((at.date() - EPOCH).days)
    if not days:
        raise BadElement(15, "not a date")
    day = min(days, key=lambda day: abs(day - today))
    if abs(day - today) > away_max:
        raise BadElement(15, "too far from today")
    return day
