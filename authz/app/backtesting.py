"""A policy over the journal: its entries from the oldest on, as facts for rules/backtest.py.

Read whole, from where the journal begins: counters of a month need the month. One page of each
shard is in memory, and of what was read: profiles, 0.5 kB for an account or card; of an
authorization that was approved about 0.7 kB; a counter for each window; and the lists as of one
version, with what every other version changed.
"""

from collections.abc import AsyncIterator, Mapping
from heapq import heappop, heappush

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from authz.app.explaining import request_of
from authz.app.history import PAGE_MIN, Row
from authz.app.judgements import Judgements
from authz.clock import utc
from authz.hot import keys
from authz.profiles import read_account, read_card
from ledger.journal import (
    AccountBody,
    AdviceBody,
    AuthorizationBody,
    CardBody,
    ClearingBody,
    Entry,
    IncrementBody,
    read_entry,
    seen_by,
)
from rules.backtest import Asked, Backtest, Moved, as_then
from rules.counters import spans_shards
from rules.decide import limits_for
from rules.differences import Differences, Report
from rules.facts import AccountProfile, CardProfile
from rules.fx import Rates
from rules.holds import HoldRule, hold_for, make_policy
from rules.judge import Judge
from rules.lists import Lists
from rules.policy import Policy
from rules.windows import civil_date

ENTRIES_MAX = 10_000_000  # some 7 GB at the worst, where every one is an approval
TAKES_BACK = frozenset({"reversal", "close", "withdrawal"})
TELLS = frozenset({"advice", "completion", "clearing"})


class Read(Struct):
    """How far a reading came."""

    entries: int = 0
    unreadable: int = 0
    skipped: int = 0  # requests whose card, account or lists the journal no longer has
    whole: bool = True  # every shard from its beginning
    bounded: bool = False  # stopped at the bound


class Answer(Struct):
    report: Report
    read: Read


class Order(Struct, frozen=True, kw_only=True):
    """What is asked for. Units: milliseconds since 1970, from and up to but not with."""

    draft: Policy | None
    from_ms: int = 0
    to_ms: int | None = None
    labels: Mapping[str, bool] = {}
    hold_rules: tuple[HoldRule, ...] = ()
    hold_days: int = 7
    entries_max: int = ENTRIES_MAX


class Pages:
    """One shard's stream from its beginning, a page at a time."""

    def __init__(self, client: Redis, shard: str) -> None:
        self._client, self._key, self._start = client, keys.journal(shard), "-"
        self._page: list[Row] = []  # the oldest last
        self._more = True

    async def next(self) -> Row | None:
        if not self._page and self._more:
            page = await self._client.execute_command(  # type: ignore[no-untyped-call]
                "XRANGE", self._key, self._start, "+", "COUNT", PAGE_MIN
            )
            self._more = len(page) == PAGE_MIN
            if page:
                self._start = f"({page[-1][0].decode()}"
            self._page = page[::-1]
        return self._page.pop() if self._page else None


async def oldest_first(client: Redis, read: Read, order: Order) -> AsyncIterator[Entry]:
    """Entries of all shards by the store's clock, within one as written."""
    shards = list(keys.ALL_SHARDS)
    pages = [Pages(client, shard) for shard in shards]
    heads: list[tuple[int, int, int, Row]] = []

    async def put_forward(number: int) -> None:
        row = await pages[number].next()
        if row is not None:
            ms, _, sequence = row[0].partition(b"-")
            heappush(heads, (int(ms), int(sequence), number, row))

    for number in range(len(pages)):
        await put_forward(number)
    begun: set[int] = set()
    while heads:
        if read.entries >= order.entries_max:
            read.bounded = True
            return
        ms, _, number, row = heappop(heads)
        if order.to_ms is not None and ms >= order.to_ms:
            return
        await put_forward(number)
        read.entries += 1
        try:
            entry = read_entry(*row)
        except (msgspec.MsgspecError, KeyError):
            read.unreadable += 1
            continue
        if number not in begun:
            begun.add(number)
            read.whole &= (entry.envelope.kind, entry.envelope.verdict) == ("gate", "new")
        yield entry


class Told:
    """Cards and accounts, as they are at the entry that was read last; and every judgement."""

    def __init__(self) -> None:
        self.accounts: dict[str, AccountProfile] = {}
        self.cards: dict[tuple[str, str], CardProfile] = {}
        self.judgements = Judgements()

    def judged_by(self, version: int) -> tuple[Lists, Judge] | None:
        was = self.judgements.at(version)
        return None if was is None else (was.lists, was.judge())

    def add(self, entry: Entry) -> None:
        e = entry.envelope
        match entry.body:
            case AccountBody() as body:
                self.accounts[e.account_id] = read_account(body.profile)
            case CardBody() as body:
                self.cards[e.account_id, e.card_id] = read_card(body.profile)


class Draft:
    """A draft, with the rates that were in force at each request."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._rates: Rates | None = None
        self._judge = Judge(policy)

    def judge(self, then: Judge) -> Judge:
        """Raises: RatesError, of rates and currencies that the draft names."""
        if then.rates is not self._rates:
            self._rates = then.rates
            self._judge = Judge(self._policy, then.rates)
        return self._judge


async def backtest(client: Redis, order: Order) -> Answer:
    """Raises: PolicyError, where a policy that was in force can no longer be read."""
    holds = make_policy(order.hold_rules, order.hold_days)
    draft = as_then if order.draft is None else Draft(order.draft).judge
    replay = Backtest(draft, lambda request: hold_for(request, holds.of(request)))
    version = order.draft.version if order.draft else "as it was in force"
    differences, told, read = Differences(version, order.labels), Told(), Read()
    await told.judgements.learn(client)
    async for entry in oldest_first(client, read, order):
        e, body = entry.envelope, entry.body
        told.add(entry)
        if isinstance(body, AuthorizationBody | IncrementBody) and e.kind not in TAKES_BACK:
            wanted = e.at_ms >= order.from_ms
            if not e.versions:
                if wanted:
                    differences.unknown_card()
                continue
            asked = asked_of(entry, body, told, read)
            if asked is None:
                read.skipped += 1
                continue
            ruling = replay.ask(asked)
            if wanted:
                differences.add(ruling, utc(e.at_ms).date().isoformat())
        elif e.kind == "withdrawal" or (
            e.authorization_id and (e.kind in TAKES_BACK or e.kind in TELLS)
        ):
            replay.move(moved_of(entry, told))
    return Answer(differences.report, read)


def asked_of(
    entry: Entry, body: AuthorizationBody | IncrementBody, told: Told, read: Read
) -> Asked | None:
    e = entry.envelope
    is_increment = isinstance(body, IncrementBody)
    facts = body.asked if isinstance(body, IncrementBody) else body
    account = told.accounts.get(e.account_id)
    card = told.cards.get((e.account_id, e.card_id))
    lists = told.judged_by(e.versions[2])
    if account is None or card is None or lists is None:
        return None
    took = e.held_delta - e.posted_delta
    looked_at = list(zip(facts.limits, seen_by(e, facts.limits), strict=True))
    refused = [row[1] for row, _ in looked_at if row[0] == e.detail]
    if e.verdict == "over_limit":
        quotas = {place: allowed for place, _, allowed in e.quotas}
        full = [
            row[1]
            for place, (row, (before, _, new)) in enumerate(looked_at)
            if row[1] in refused and (before or 0) + new > quotas.get(place, row[3])
        ]
        refused = sorted(full, key=spans_shards) or refused  # a program's are asked last
    return Asked(
        message_id=e.message_id,
        authorization_id=e.authorization_id,
        at_ms=e.at_ms,
        request=request_of(facts),
        card=card,
        account=account,
        lists=lists[0],
        judge=lists[1],
        is_increment=is_increment,
        planned=facts.planned,
        verdict=e.verdict,
        detail=e.detail,
        rule=facts.rule,
        refused_by=refused[0] if e.verdict == "over_limit" and refused else "",
        took_minor=took,
        available_minor=e.posted_after - e.held_after + facts.credit_line_minor + took,
        absorbed=tuple(e.absorbed),
        seen=()
        if read.whole
        else tuple(
            (row[1], saw[0])
            for row, saw in looked_at
            if saw[0] is not None and not spans_shards(row[1])
        ),
    )


def moved_of(entry: Entry, told: Told) -> Moved:
    e, body = entry.envelope, entry.body
    touched: tuple[tuple[str, int], ...] = ()
    card = told.cards.get((e.account_id, e.card_id))
    account = told.accounts.get(e.account_id)
    if isinstance(body, AdviceBody | ClearingBody) and card is not None and account is not None:
        request = request_of(body.told)
        day = civil_date(request.sent_at, account.time_zone)
        touched = tuple((limit.counter, limit.scale) for limit in limits_for(request, card, day))
    return Moved(
        authorization_id=e.authorization_id,
        account_id=e.account_id,
        took_minor=e.held_delta - e.posted_delta,
        is_taken_back=e.kind in TAKES_BACK
        or (isinstance(body, ClearingBody) and body.act in ("full", "part")),
        touched=touched,
        absorbed=tuple(e.absorbed),
        withdrew=e.message_id if e.kind == "withdrawal" else "",
    )
