"""Any files over any authorizations, killed anywhere and run again, by an oracle of plain sums.

The oracle knows purchases, what is held of each, and what was cleared of it. It knows no ladder, no
records and no accounts of a ledger.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from authz.hot import keys
from ledger.clearing.pan import Pan
from ledger.clearing.record import ClearedItem, Kind
from tests.support.books import drain
from tests.support.clearing import arn_of
from tests.support.engine import code, purchase, reversal
from tests.support.office import NETWORK, NOBODYS, Office, issue, office, record, rrn_of

DEEP = settings.default is not None and settings.default.max_examples > 100
LIVES = 300 if DEEP else 10
OPENING = 1_000_000
NUMBERS = count(1)  # of items and messages, over all lives: each has its own


@dataclass
class Bought:
    """One purchase: held, perhaps taken back online; and what was cleared of it."""

    stan: int
    held: int
    undone: bool
    cleared: dict[str, int] = field(default_factory=dict)  # by ARN: what is left of it
    parts: int = 0  # so many were announced; 0: none has come
    seen: int = 0

    @property
    def hold(self) -> int:
        ended = self.undone or (self.parts and self.seen >= self.parts)
        return 0 if ended else max(self.held - sum(self.cleared.values()), 0)


amounts = st.integers(1, 5000)
SHAPES = ("none", "equal", "below", "above", "parts", "twice")


@st.composite
def lives(draw: st.DrawFn) -> Any:
    """Purchases, and the records of files about them: in any order, some more than once."""
    bought, items = [], []
    for _ in range(draw(st.integers(1, 3))):
        one = Bought(next(NUMBERS), draw(st.sampled_from([0, 1])) * draw(amounts), False)
        one.undone = bool(one.held) and draw(st.booleans()) and draw(st.booleans())
        bought.append(one)
        items += presentments(draw, one)
    for _ in range(draw(st.integers(0, 3))):
        items.append(stranger(draw))
    for item in list(items):
        if item.kind in (Kind.PRESENTMENT, Kind.REFUND) and not item.reversal:
            items += follow_ups(draw, item)
    items = draw(st.permutations(items))
    cut = draw(st.integers(0, len(items)))
    files = [items[:cut], items[cut:]]
    again = draw(st.sampled_from([0, 1]))
    files.append([*files[again], *([files[0][0]] if files[0] and again else [])])
    kills = draw(st.lists(st.integers(1, 12), min_size=3, max_size=3))
    return bought, [file for file in files if file], kills


def presentments(draw: st.DrawFn, one: Bought) -> list[ClearedItem]:
    shape = draw(st.sampled_from(SHAPES))
    held = one.held or 1000
    told: list[tuple[int, dict[str, int]]] = {
        "none": [],
        "equal": [(held, {})],
        "below": [(max(held // 2, 1), {})],
        "above": [(held + draw(amounts), {})],
        "twice": [(held, {}), (draw(amounts), {})],
        "parts": [
            (draw(amounts), {"clearing_number": n, "clearing_count": 3}) for n in (1, 2, 3)
        ],
    }[shape]  # fmt: skip
    if shape == "parts":
        told = told[: draw(st.integers(1, 3))]
    return [new(amount, rrn=rrn_of(one.stan), **more) for amount, more in told]


def stranger(draw: st.DrawFn) -> ClearedItem:
    kind = draw(st.sampled_from(["refund", "nobody", "unknown back", "fee", "again"]))
    amount = draw(amounts)
    match kind:
        case "refund":
            return new(amount, kind=Kind.REFUND)
        case "nobody":
            return new(amount, pan=NOBODYS)
        case "unknown back":
            return new(amount, reversal=True)
        case "fee":
            return new(amount, kind=Kind.FEE, sign=draw(st.sampled_from([1, -1])))
    return new(amount, kind=Kind.SECOND_PRESENTMENT, of=Kind.PRESENTMENT)


def follow_ups(draw: st.DrawFn, item: ClearedItem) -> list[ClearedItem]:
    """What takes it back, or disputes it."""
    found = []
    part = draw(st.integers(1, item.transaction_minor))
    if draw(st.integers(0, 3)) == 0:
        back = draw(st.sampled_from([part, item.transaction_minor]))
        told = {"arn": item.arn, "kind": item.kind, "reversal": True} | counted(item)
        found.append(new(back, **told))
        other = draw(amounts)
        if draw(st.booleans()) and other != back:  # of one ARN and amount it is the same once more
            found.append(new(other, **told))
    if draw(st.integers(0, 3)) == 0:
        disputed = {"arn": item.arn, "kind": Kind.CHARGEBACK, "of": item.kind}
        found.append(new(part, **disputed))
        if draw(st.booleans()):
            found.append(new(part, **disputed, reversal=True))
    return found


def counted(item: ClearedItem) -> dict[str, int]:
    return {"clearing_number": item.clearing_number, "clearing_count": item.clearing_count}


def new(amount: int, **changes: Any) -> ClearedItem:
    number = next(NUMBERS)
    return record(number, amount, **{"arn": arn_of(number)} | changes)


class Oracle:
    """What files come to, record by record: in phases, since what takes back comes behind."""

    def __init__(self, bought: list[Bought]) -> None:
        self.bought = {rrn_of(one.stan): one for one in bought}
        self.posted, self.unmatched, self.network = OPENING, 0, 0
        self.left: dict[tuple[str, str], int] = {}  # by kind and ARN
        self.seen: set[int] = set()

    def clear(self, items: list[ClearedItem]) -> Counter[str]:
        """The outcomes, each as often as it comes."""
        said: Counter[str] = Counter()
        news = {item.record: item for item in items if item.record not in self.seen}
        said["repeated"] += sum(item.record in self.seen for item in items)
        # The same record twice in one file is not used the second time.
        said["refused"] += len(items) - said["repeated"] - len(news)
        self.seen |= news.keys()
        for phase in (self.first, self.dispute, self.back):
            for item in news.values():
                if (name := phase(item)) is not None:
                    said[name] += 1
        self.network -= sum(item.sign * item.transaction_minor for item in news.values())
        return +said

    def first(self, item: ClearedItem) -> str | None:
        amount = item.transaction_minor
        if item.kind is Kind.FEE:
            return "fee"
        if item.kind is Kind.SECOND_PRESENTMENT:
            return "represented"
        if item.reversal or item.kind is Kind.CHARGEBACK:
            return None
        if item.pan is not None and item.pan.reveal() == NOBODYS:
            self.unmatched += amount
            return "unmatched"
        if item.kind is Kind.REFUND:
            self.posted += amount
            self.left[item.kind, item.arn] = amount
            return "refunded"
        self.posted -= amount
        self.left[item.kind, item.arn] = amount
        one = self.bought[item.rrn]
        before, ended = one.hold, one.undone
        one.cleared[item.arn] = amount
        if not item.clearing_count:
            one.parts, one.seen = max(one.parts, 1), one.seen + 1
        else:
            one.parts = 3 if item.clearing_number == 3 else one.parts
            one.seen += 1
        if not one.held:
            return "forced"
        if ended:
            return "cleared_late"
        released = before - one.hold
        if released < amount:
            return "cleared_above"
        if item.clearing_count:
            return "cleared_part"
        return "cleared" if released == amount else "cleared_below"

    def dispute(self, item: ClearedItem) -> str | None:
        if item.kind is not Kind.CHARGEBACK:
            return None
        if item.reversal:
            return None
        self.posted -= item.sign * item.transaction_minor
        self.left[item.kind, item.arn] = item.transaction_minor
        return "charged_back"

    def back(self, item: ClearedItem) -> str | None:
        if not item.reversal:
            return None
        amount, named = item.transaction_minor, (item.kind, item.arn)
        if self.left.get(named, 0) < amount:
            self.unmatched += item.sign * amount
            return "unmatched"
        self.left[named] -= amount
        self.posted -= item.sign * amount
        for one in self.bought.values():
            if item.kind is Kind.PRESENTMENT and item.arn in one.cleared:
                one.cleared[item.arn] -= amount
        return "reversed"

    @property
    def held(self) -> int:
        return sum(one.hold for one in self.bought.values())


class Killed(Exception):
    """Stands for the end of the process: nothing behind it is done."""


class Doom:
    """Ends a run at its so manieth step, once."""

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self, place: str) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed


async def play(it: Office, account: int, life: Any) -> None:
    bought, files, kills = life
    name, pan = f"A{account}", f"999998{account:010}"
    await it.set_clock()
    await issue(it.world, OPENING, account, pan)
    now_ms = it.world.clock.now_ms()
    for one in bought:
        if one.held:
            await it.buy(one.stan, one.held, de2=pan)
        if one.undone:
            asked = purchase(one.stan, one.held, at_ms=now_ms, de2=pan)
            undone = reversal(asked, 500_000 + one.stan, at_ms=now_ms)
            assert code(await it.link.say("0400", undone)) == "00"
    oracle, before = Oracle(bought), await it.balances()
    told: dict[bytes, Counter[str]] = {}  # the same file again has the outcomes that it had
    for items, kill in zip(files, kills, strict=False):
        mine = [ours(item, pan) for item in items]
        path = it.file(mine)
        packed = path.read_bytes()
        expected = told[packed] if packed in told else oracle.clear(items)
        told[packed] = expected
        try:
            said = await it.outcomes(path, Doom(kill))
        except Killed:
            said = await it.outcomes(path)
        assert said == expected
        assert await it.outcomes(path) == expected
    posted, held = await it.funds(name)
    assert (posted, held) == (oracle.posted, oracle.held)
    await drain(it.url, it.dsn)
    row = await it.connection.fetchrow(
        "SELECT posted_minor, held_minor FROM balance WHERE account_id = $1", name
    )
    assert tuple(row) == (posted, held)
    after = await it.balances()
    for role, subject, moved in (
        ("network", NETWORK, oracle.network), ("unmatched", "", oracle.unmatched),
    ):  # fmt: skip
        there = role, subject, "840"
        assert after.get(there, 0) - before.get(there, 0) == moved, role
    assert await it.connection.fetchval("SELECT count(*) FROM parked") == 0
    assert await it.client.exists(keys.account(name))


def ours(item: ClearedItem, pan: str) -> ClearedItem:
    """The same with this life's card, unless it is nobody's."""
    if item.pan is None or item.pan.reveal() == NOBODYS:
        return item
    return replace(item, pan=Pan(pan))


def test_any_files_over_any_purchases(
    fresh_redis: str, fresh_postgres: str, tmp_path: Path
) -> None:
    accounts = count(2)
    with asyncio.Runner() as runner:
        context = office(fresh_redis, fresh_postgres, tmp_path)
        it = runner.run(context.__aenter__())

        @given(lives())
        @settings(max_examples=LIVES)
        def lived(life: Any) -> None:
            runner.run(play(it, next(accounts), life))

        try:
            lived()
            runner.run(it.check())
        finally:
            runner.run(context.__aexit__(None, None, None))
