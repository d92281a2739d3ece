"""The journal for people: acts from the newest backwards, and why each was answered as it was.

The one place where commands read it. The audit tells it forwards, in authz/replay.py, since
it adds up; whoever asks "why was this declined?" begins at the end.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from heapq import heappop, heappush
from typing import Any

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from authz.clock import day_named, utc
from authz.hot import keys
from authz.hot.life import ACTS
from authz.profiles import read_account, read_card
from ledger.journal import (
    AccountBody,
    AdministrativeBody,
    AdviceBody,
    AuthorizationBody,
    CardBody,
    ClearingBody,
    CloseBody,
    CutOverBody,
    Entry,
    IncrementBody,
    LedgerBody,
    ReconciliationBody,
    ReversalBody,
    ReviewBody,
    read_entry,
    seen_by,
)
from rules.decide import conclude
from rules.reason import Reason

PAGE = 2000  # entries in one reply for one shard
PAGE_MIN = 200  # of each, where all shards are read: some 10 MB at the start

MINOR = "_minor"
CLEARING = "clearing"  # the kind of entry that no message made
Plain = dict[str, Any]
Row = tuple[bytes, dict[bytes, bytes]]


class Reach(Struct):
    """How far back a reading may go, and how far it went."""

    entries_max: int
    looked_at: int = 0
    unreadable: int = 0
    whole: bool = False  # back to the beginning, of the journal or of the time asked for


class Shelf:
    """One shard's stream from its end, a page at a time."""

    def __init__(
        self, client: Redis, shard: str, since_ms: int, count: int, until: str = "+"
    ) -> None:
        self._client = client
        self._key = keys.journal(shard)
        self._since, self._end, self._count = str(since_ms), until, count
        self._page: list[Row] = []  # the newest last
        self._more = True

    async def next(self) -> Row | None:
        if not self._page and self._more:
            page = await self._client.execute_command(  # type: ignore[no-untyped-call]
                "XREVRANGE", self._key, self._end, self._since, "COUNT", self._count
            )
            self._more = len(page) == self._count
            if page:
                self._end = f"({page[-1][0].decode()}"
            self._page = page[::-1]
        return self._page.pop() if self._page else None


async def newest_first(
    client: Redis, shards: Sequence[str], reach: Reach, since_ms: int = 0, until: str = "+"
) -> AsyncIterator[Entry]:
    """Entries of these shards by the store's clock, from now back to `since_ms`; of one shard, from
    the position `until`.

    `reach` bounds the reading and is told of it; an entry that cannot be read is counted
    there and left out, as the audit tells of it.
    """
    count = max(PAGE // len(shards), PAGE_MIN)
    shelves = [Shelf(client, shard, since_ms, count, until) for shard in shards]
    heads: list[tuple[int, int, int, Row]] = []  # the newest is the least

    async def put_forward(number: int) -> None:
        row = await shelves[number].next()
        if row is not None:
            ms, _, sequence = row[0].partition(b"-")
            heappush(heads, (-int(ms), -int(sequence), number, row))

    for number in range(len(shelves)):
        await put_forward(number)
    while heads:
        if reach.looked_at >= reach.entries_max:
            return
        _, _, number, row = heappop(heads)
        await put_forward(number)
        reach.looked_at += 1
        try:
            entry = read_entry(*row)
        except (msgspec.MsgspecError, KeyError):
            reach.unreadable += 1
        else:
            yield entry
    reach.whole = True


def reason_of(entry: Entry) -> str:
    """Our own name for the answer, "" for what is no authorization."""
    e, body = entry.envelope, entry.body
    if isinstance(body, IncrementBody):
        body = body.asked
    if not isinstance(body, AuthorizationBody):
        return ""
    try:
        return conclude(body.planned, e.verdict, e.detail)
    except (AssertionError, ValueError):
        return e.verdict  # of another version of ours


def told(entry: Entry) -> Plain:
    """One act, without what its body keeps to find the card again.

    `x_minor` is in `x_currency`, or where there is none in `currency`, the account's.
    """
    e, body = entry.envelope, entry.body
    act: Plain = {
        "at": utc(e.at_ms).isoformat(timespec="milliseconds"),
        "kind": e.kind, "mti": "", "stan": "", "rrn": "",
        "amount_minor": None, "amount_currency": "", "verdict": e.verdict,
        "reason": reason_of(entry), "detail": e.detail,
        "currency": e.currency, "held_delta_minor": e.held_delta if e.currency else None,
        "held_after_minor": e.held_after if e.currency else None,
        "posted_delta_minor": e.posted_delta if e.currency else None,
        "authorization_id": e.authorization_id, "message_id": e.message_id,
        "account_id": e.account_id, "card_id": e.card_id,
    }  # fmt: skip
    if isinstance(body, AdviceBody):
        completes = body.act in ("post", "last") or body.told.mti[1] == "2"
        act |= {
            "decided_by": "merchant" if completes else "network stand-in",
            "taken_for": ACTS[body.act].words if body.act in ACTS else body.act,
            "approved_elsewhere": body.approved,
        }
        body = body.told
    elif isinstance(body, ClearingBody):
        act |= of_clearing(body)
        body = body.told
    elif isinstance(body, IncrementBody):
        body = body.asked
    if isinstance(body, AuthorizationBody):
        act |= {
            "mti": "" if e.kind == CLEARING else body.mti,
            "stan": body.stan, "rrn": body.rrn,
            "amount_minor": body.amount_minor, "amount_currency": body.currency,
            "transaction_minor": body.transaction_minor,
            "transaction_currency": body.transaction_currency,
            "planned": body.planned, "mcc": body.mcc, "merchant_id": body.merchant_id,
            "terminal_id": body.terminal_id, **price_of(body), **refusal(entry, body),
            **({"rule": body.rule} if body.rule else {}),
            **({"skipped_checks": list(body.skipped)} if body.skipped else {}),
        }  # fmt: skip
    elif isinstance(body, ReversalBody):
        act |= {
            "mti": body.mti, "stan": body.stan, "rrn": body.rrn,
            "amount_minor": body.transaction_minor, "amount_currency": body.transaction_currency,
            # -1 stands for all of it: nothing remains.
            "remaining_minor": max(body.remaining_minor, 0),
            "remaining_currency": body.transaction_currency,
        }  # fmt: skip
    else:
        act |= of_no_request(entry)
    return {"stream_id": entry.stream_id} | act


def of_clearing(body: ClearingBody) -> Plain:
    """What a clearing file said, beside what it cost."""
    said: Plain = {
        "decided_by": "clearing file",
        "taken_for": f"{'reversal of a ' if body.reversal else ''}{body.kind.replace('_', ' ')}",
        "arn": body.arn, "file_id": body.file_id, "record": body.record,
    }  # fmt: skip
    if body.settlement_currency:
        said |= {
            "network_settles_minor": body.settlement_minor,
            "network_settles_currency": body.settlement_currency,
        }
    if body.remaining_minor >= 0:
        said |= {
            "remaining_minor": body.remaining_minor,
            "remaining_currency": body.told.transaction_currency,
        }
    return said


def price_of(body: AuthorizationBody) -> Plain:
    """What it costs: in all, the fees, and the rate it was billed by. Nothing of entries of before
    prices were kept."""
    if body.settle_minor < 0:
        return {}
    now = {
        "settle_minor": body.settle_minor, "settle_currency": body.currency,
        "fee_minor": body.fee_minor, "fee_currency": body.currency,
        "cross_border_fee_minor": body.cross_border_fee_minor,
        "cross_border_fee_currency": body.currency,
    }  # fmt: skip
    return now | {"rate": body.rate, "rate_source": body.rate_source, "rate_date": body.rate_date}


def of_no_request(entry: Entry) -> Plain:
    """What is told of acts that no request about a card made."""
    e, body = entry.envelope, entry.body
    match body:
        case AccountBody():
            now = {"state": state_in(body.profile, read_account), "source": body.source}
            return now | {"amount_minor": e.posted_delta, "amount_currency": e.currency}
        case CardBody():
            return {"state": state_in(body.profile, read_card), "source": body.source}
        case CloseBody() | ReviewBody():
            return {"source": body.source}
        case LedgerBody():
            return {"taken_for": body.what.replace("_", " "), "source": body.source}
        case CutOverBody() | AdministrativeBody():
            return {"mti": body.mti, "stan": body.stan, "network": body.network}
        case ReconciliationBody():
            told, ours = dict(body.told), dict(body.ours)
            return {
                "mti": body.mti, "stan": body.stan, "network": body.network,
                "business_date": day_named(body.day), "currency": body.currency, "detail": "",
                # What we do not count is zero; what the network did not tell cannot differ.
                "totals": [
                    {"total": name.removesuffix("_amount") + ("" if counts(name) else MINOR),
                     "network": told.get(name), "ours": ours.get(name, 0),
                     "differs": name in told and told[name] != ours.get(name, 0)}
                    for name in [*ours, *(name for name in told if name not in ours)]
                ],
            }  # fmt: skip
    return {}


def state_in(profile: msgspec.Raw, read: Callable[[msgspec.Raw], Any]) -> str:
    """How a card or an account is since; "" where its profile is of another version of ours."""
    try:
        return str(read(profile).state)
    except msgspec.MsgspecError:
        return ""


def counts(total: str) -> bool:
    """Whether a total is a number of messages; the others are money."""
    return total.endswith("_number")


def facts_of(entry: Entry) -> Any:
    """What a message carried: an advice tells of a request, and an increment is one."""
    body = entry.body
    if isinstance(body, AdviceBody | ClearingBody):
        return body.told
    return body.asked if isinstance(body, IncrementBody) else body


def refusal(entry: Entry, body: AuthorizationBody) -> Plain:
    """What stood in the way: the ceiling that was met, or the funds that there were."""
    e = entry.envelope
    if e.verdict == "told":  # what there was, as the answer said it
        ledger, _, available = e.detail.partition(" ")
        return {"detail": "", "ledger_minor": int(ledger), "available_minor": int(available)}
    if e.detail == "partial":
        rows = zip(body.limits, seen_by(e, body.limits), strict=True)
        quotas = {place: allowed for place, _, allowed in e.quotas}
        full = [
            row[0]
            for place, (row, (_, after, _)) in enumerate(rows)
            if row[4] == 1 and after == quotas.get(place, row[3])
        ]
        # Where there are funds left, and room under each ceiling, a rule allowed no more.
        left = e.posted_after - e.held_after + body.credit_line_minor
        other = Reason.TRANSACTION_LIMIT if left > 0 else Reason.FUNDS_INSUFFICIENT
        return {
            "approved_minor": e.held_delta - e.posted_delta,
            "limited_by": full[0] if full else other,
        }
    if e.verdict == "no_funds":
        return {"available_minor": e.posted_after - e.held_after + body.credit_line_minor}
    for reason, counter, _, ceiling, scale in body.limits:
        if e.verdict == "over_limit" and reason == e.detail:
            # A counter of scale 1 counts money, the others count authorizations.
            unit = "ceiling_minor" if scale == 1 else "ceiling_count"
            return {"counter": counter, unit: ceiling}
    return {}
