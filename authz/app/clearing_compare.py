"""Records of what online messages posted: is the same money posted, once?

So all of a network whose messages post; and of one whose file posts, those of authorizations that
were posted online before it was switched. Nothing is moved here. A record that agrees with an
online posting takes it: a second record of the same amount finds none left, and differs.
"""

from collections.abc import Iterable

from msgspec import Struct
from redis.asyncio import Redis

from authz import identity
from authz.app.clearing_acts import FileFacts, references_of
from authz.app.clearing_find import BY_CODE, by_code
from authz.app.looking import reply
from authz.cards import Known
from authz.hot import keys
from authz.hot.record import (
    AT_ONCE,
    SHIPS,
    Act,
    Record,
    amounts_of,
    decode_record,
    left_of,
    taken_back,
)
from ledger.cleared import Concluded, Waiting
from ledger.clearing.outcome import Outcome
from ledger.clearing.record import ClearedItem, Kind

SEVERAL = b"*"  # a reference that names too many authorizations to name one


class Online(Struct, frozen=True):
    """One amount that online messages posted, in the transaction's currency."""

    message_id: str
    currency: str
    asked_minor: int
    left_minor: int  # less what was taken back of it


class Looked(Struct, frozen=True):
    """What was found for a record of the file."""

    record: int
    item: ClearedItem
    account_id: str = ""
    authorization_id: str = ""
    found: Record | None = None
    more: tuple[identity.Rung, ...] = ()  # what names it, where nothing does but its approval code

    @property
    def postings(self) -> tuple[Online, ...]:
        return tuple(postings_of(self.found)) if self.found is not None else ()

    def is_online(self, message_id: str) -> bool:
        """Whether messages have posted it, and not this item in a run that was cut short."""
        acts = self.found.acts if self.found is not None else []
        return bool(self.postings) and all(act.message_id != message_id for act in acts)


async def look(
    client: Redis, item: ClearedItem, row: Waiting, known: Known | None, file: FileFacts
) -> Looked:
    """The authorization that the record means, and what it posted."""
    if known is None:
        return Looked(row.record, item)
    account_id = known.account.account_id
    references = references_of(item, row, known, file.sent_s)
    key, exact = keys.account(account_id), identity.exact_among(references)
    if not references:
        return Looked(row.record, item, account_id)
    named = await reply(client, "HMGET", key, *(f"r:{reference}" for _, reference in references))
    sign = -1 if item.kind is Kind.REFUND else 1
    if not any(named) and sign == 1:
        found = await by_code(client, known, item.approval_code, file.sent_s)
        if found is not None:
            more = ((BY_CODE, found[1].references[0]),)
            return Looked(row.record, item, account_id, *found, more)
    for place, ids in enumerate(named):
        if not ids or ids == SEVERAL:
            continue
        fields = [keys.authorization_field(id.decode()) for id in ids.split()]
        packed = await reply(client, "HMGET", key, *fields)
        records = {
            id.decode(): decode_record(one)
            for id, one in zip(ids.split(), packed, strict=True)
            if one
        }
        id = meant(records, sign, file.sent_s, is_exact=place < exact)
        if id:
            return Looked(row.record, item, account_id, id, records[id])
    return Looked(row.record, item, account_id)


def meant(records: dict[str, Record], sign: int, sent_s: int, *, is_exact: bool) -> str:
    """As the hot state finds one: sent before, the latest, and an authorization before what stands
    alone. "" for none."""
    fit = [
        (bool(one.original), one.holds + one.posted > 0, one.sent, id)
        for id, one in records.items()
        if one.sign == sign and one.currency and (is_exact or one.sent <= sent_s)
    ]
    return max(fit)[-1] if fit else ""


def postings_of(record: Record) -> Iterable[Online]:
    """Every amount that messages posted: at once, or by each of its completions."""
    shipped = [act for act in record.acts if act.kind in SHIPS and not is_of_file(act)]
    back = taken_back(record)
    if record.posts == AT_ONCE and not shipped:
        left = record.asked
        for act in record.acts:
            if act.kind == "part" and not back:
                left = min(left, left_of(record, act, record.approved, record.asked, "")[1])
        yield Online(record.original, record.asked_in, record.asked, 0 if back else left)
    for act in shipped:
        _, left, _ = amounts_of(record, act)
        whole_back = back and record.posts == AT_ONCE
        yield Online(act.message_id, act.amount_in, act.amount, 0 if whole_back else left)


def is_of_file(act: Act) -> bool:
    """Whether a cleared item posted it: those alone are named by their own message id."""
    return act.names == identity.reference_of_cleared(act.message_id)


def compared(looked: Looked, taken: set[str]) -> Concluded:
    """What the record comes to. `taken`: online postings that other records agree with; this one's
    is added."""
    item = looked.item
    found = [one for one in looked.postings if one.currency == item.transaction_currency]

    def concluded(outcome: Outcome, detail: str = "", of: str = "") -> Concluded:
        return Concluded(
            looked.record, outcome, detail, looked.account_id, looked.authorization_id,
            of_message=of,
        )  # fmt: skip

    if item.reversal:
        reversed_ = [one for one in found if one.asked_minor == item.transaction_minor]
        if any(one.left_minor == 0 for one in reversed_):
            return concluded(Outcome.AGREES)
        return concluded(Outcome.DIFFERS if found else Outcome.MISSING_ONLINE)
    for one in found:
        if one.left_minor == item.transaction_minor and one.message_id not in taken:
            taken.add(one.message_id)
            return concluded(Outcome.AGREES, of=one.message_id)
    if not looked.postings:
        return concluded(Outcome.MISSING_ONLINE)
    again = any(
        one.message_id in taken and one.left_minor == item.transaction_minor for one in found
    )
    posted = sum(one.left_minor for one in found)
    told = "told twice" if again else f"posted online: {posted} {item.transaction_currency}"
    return concluded(Outcome.DIFFERS, told)
