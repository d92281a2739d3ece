"""A clearing file as it is written down: one row for each record, and no card number in any.

What a record is known by is worked out here, once: its key, and the message id of whatever it will
move. So a run that is killed, and run again, asks for the very same acts.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from authz import identity
from authz.privacy import Pan, PanKeys
from ledger.cleared import File, Planned
from ledger.clearing.errors import BadRecord
from ledger.clearing.outcome import Outcome
from ledger.clearing.posting import settled
from ledger.clearing.reading import ClearingFile
from ledger.clearing.record import ClearedItem, Kind, content_hash, item_key, pack_item

DAY_S = 86_400
TEXT_MAX = 200  # of a file's name, and of why a record cannot be used

# In the order in which they are posted, whatever the file's: what takes something back comes behind
# what it takes back.
STANDS_ALONE, CHARGES_BACK, TAKES_BACK = PHASES = (0, 1, 2)


class NoNetwork(Exception):
    """An item does not say whose it is, or says a name that is no network of ours."""


def file_row(file: ClearingFile, network: str, source: str, now_s: int) -> File:
    """`network`: of a file that tells none; `now_s`: the latest that a message can be sent."""
    return File(
        file_id=file.file_id,
        name=file.path.name[:TEXT_MAX],
        format=file.format,
        network=file.network or network,
        network_ids=list(file.network_file_ids),
        business_date=file.business_date,
        records=file.records,
        items=file.item_count,
        refused=file.bad_count,
        others=file.others,
        source=source,
        sent_s=sent_s(file, now_s),
    )


def sent_s(file: ClearingFile, now_s: int) -> int:
    """When its items count as sent: what is asked for afterwards is not cleared by them.

    A business day ends at night, somewhere: so a day of grace, but never ahead of the clock.
    """
    if file.business_date is None:
        return now_s
    days = file.business_date.toordinal() - 719_163  # of 1970-01-01
    return min((days + 2) * DAY_S, now_s)


def rows_of(
    file: ClearingFile, keys: PanKeys, network: str, known: frozenset[str]
) -> Iterator[Planned]:
    """Raises: NoNetwork; ClearingRefused at the end, where the file was changed meanwhile."""
    for found in file.found():
        if isinstance(found, BadRecord):
            yield refused(found, file.network or network)
            continue
        item = found if found.network else replace(found, network=network)
        if item.network not in known:
            raise NoNetwork
        yield planned(item, keys)


def refused(bad: BadRecord, network: str) -> Planned:
    said = ": ".join(part for part in (bad.element, bad.reason) if part)
    return Planned(
        record=bad.record, network=network, item_key="", message_id="", phase=STANDS_ALONE,
        kind="", sign=1, transaction_minor=0, transaction_currency="", settlement_minor=0,
        settlement_currency="", arn="", bin="", card_key="", told=b"", outcome=Outcome.REFUSED,
        detail=said[:TEXT_MAX], second_key="", second_message_id="",
    )  # fmt: skip


def planned(item: ClearedItem, keys: PanKeys) -> Planned:
    card_key = bin = ""
    if item.pan is not None:
        pan = Pan(item.pan.reveal())
        card_key, bin = keys.card_key(pan), pan.bin
    key, second = item_key(item, card_key), content_hash(item, card_key)
    amount, currency = settled(item)
    return Planned(
        record=item.record,
        network=item.network,
        item_key=key,
        message_id=identity.clearing_id(item.network, key),
        phase=phase_of(item),
        kind=item.name,
        sign=item.sign,
        transaction_minor=item.transaction_minor,
        transaction_currency=item.transaction_currency,
        settlement_minor=amount,
        settlement_currency=currency,
        arn=item.arn,
        bin=bin,
        card_key=card_key,
        told=pack_item(item),
        outcome=None,
        detail="",
        second_key=second,
        second_message_id=identity.clearing_id(item.network, second),
    )


def phase_of(item: ClearedItem) -> int:
    if item.kind in (Kind.FEE, Kind.SECOND_PRESENTMENT):
        return STANDS_ALONE  # no cardholder's money: their reversals are movements like them
    if item.reversal:
        return TAKES_BACK
    return CHARGES_BACK if item.kind is Kind.CHARGEBACK else STANDS_ALONE
