"""Velocity under any traffic: a bookkeeper who counts by the whole history, on a real store.

Three cards on two accounts, two engines; steps of one to four requests at once, some late, some of
which are taken back, before they come or after, or expire. The bookkeeper knows nothing of
counters: of each request he goes through all that was ever approved and declined, and says what
must be answered. What is asked at once may be answered in any order, but there must be one.
"""

import asyncio
from itertools import count, permutations
from random import Random
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from authz.audit import audit_store
from authz.authorize import authorize
from authz.cards import NearCache
from authz.clock import ManualClock, utc
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.engine import Engine, Settings
from authz.hot import admin, keys
from authz.hot.acts import Close
from authz.hot.store import RedisHotState
from authz.judgement import put_policy
from authz.privacy import Pan
from authz.reverse import reverse
from ledger.journal import CloseBody, encode_body
from rules.facts import AuthorizationRequest, Original, Purpose, Reversal
from tests.support.engine import KEYS, SpoolInMemory, Watcher, account
from tests.support.hot import opened

DEEP = settings.default is not None and settings.default.max_examples > 100
EXAMPLES, CROWDED = (1500, 600) if DEEP else (60, 60)

POLICY = """
version = "1"
[[rule]]
name = "no vices"
when = { mcc = ["7995"] }
outcome = "decline"
[[limit]]
name = "noes"
measure = "declines"
ceiling = 3
window = "10m"
[[limit]]
name = "fast"
measure = "count"
ceiling = 2
window = "10s"
[[limit]]
name = "an hour's money"
per = "account"
measure = "amount"
ceiling = 9000
window = "1h"
[[limit]]
name = "a day's money"
measure = "amount"
ceiling = 12000
window = "day"
[[limit]]
name = "dinners"
per = "account"
measure = "count"
ceiling = 3
window = "week"
when = { mcc = ["5812"] }
[[limit]]
name = "shops"
per = "account"
measure = "merchants"
ceiling = 2
window = "20m"
[[limit]]
name = "lands"
measure = "countries"
ceiling = 2
window = "month"
[[limit]]
name = "each shop"
measure = "count"
ceiling = 4
window = "2h"
each = "merchant"
""".replace("an hour's", "an hours").replace("a day's", "a days")

HOUR, DAY = 3600, 86_400
AMPLE = Settings(hot_deadline_s=200 * DAY)
ZONES = {"A": "America/New_York", "B": "UTC"}
CARDS = {"a1": "A", "a2": "A", "b1": "B"}
PANS = {"a1": "9999990000000010", "a2": "9999990000000028", "b1": "9999990000000036"}


class Ask(NamedTuple):
    card: str
    amount: int
    merchant: str
    country: str
    mcc: str
    late: int


asks = st.builds(
    Ask, st.sampled_from(["a1", "a1", "a1", "a2", "b1"]), st.sampled_from([1, 1, 1, 3000, 4500]),
    st.sampled_from(["M1", "M1", "M2", "M3"]), st.sampled_from(["US", "US", "FR", "DE"]),
    st.sampled_from(["5411", "5411", "5812", "7995"]), st.sampled_from([0, 0, 0, 0, 5, 70, 3000]),
)  # fmt: skip
crowds = st.lists(asks, min_size=1, max_size=4)
WINDOWS = [10, 600, 1200, HOUR, 2 * HOUR, DAY]
steps = st.one_of(
    crowds,
    crowds,
    st.tuples(st.sampled_from(["back", "early", "expire"]), st.integers(0, 5), asks),
    st.tuples(st.just("wait"), st.sampled_from([1, 4, 60, 3000, 30_000]), asks),
    # To the second in which what was asked then leaves a window, or is still in it.
    st.tuples(
        st.just("edge"), st.integers(0, 6), st.sampled_from(WINDOWS), st.sampled_from([-1, 0]), asks
    ),
)  # fmt: skip


def a_crowded_life(dice: Random) -> list[Any]:
    """Hypothesis prefers short and plain histories; in this one every edge is met."""

    def ask() -> Ask:
        return Ask(
            dice.choice(["a1", "a1", "a1", "a2", "b1"]), dice.choice([1, 1, 1, 1, 1, 1500, 4500]),
            dice.choice(["M1", "M1", "M1", "M2", "M3"]), dice.choice(["US"] * 4 + ["FR", "DE"]),
            dice.choice(["5411"] * 6 + ["5812", "5812", "7995"]),
            dice.choice([0, 0, 0, 0, 0, 0, 5, 70, 3000]),
        )  # fmt: skip

    life: list[Any] = []
    for _ in range(60):
        kind = dice.choice(["crowd"] * 4 + ["edge"] * 5 + ["back", "expire", "early", "wait"])
        if kind == "crowd":
            life.append([ask() for _ in range(dice.randint(1, 3))])
        elif kind == "edge":
            window = dice.choice([10, 10, 10, *WINDOWS])
            life.append((kind, dice.randint(0, 5), window, dice.choice([-1, 0]), ask()))
        elif kind == "wait":
            life.append((kind, dice.choice([1, 4, 60, 3000, 30_000]), ask()))
        else:
            life.append((kind, dice.randint(0, 5), ask()))
    return life


class Event(NamedTuple):
    """What was answered to a request, as the bookkeeper has it."""

    n: int
    at: int
    ask: Ask
    account: str
    said: str


class Books:
    """Everything that was answered, and what was taken back of it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.back: set[int] = set()

    def verdict(self, at: int, ask: Ask, early: bool, so_far: list[Event]) -> str:
        """Straight from the words of the policy."""
        events = self.events + so_far
        mine = [e for e in events if e.ask.card == ask.card]
        ours = [e for e in events if e.account == CARDS[ask.card]]

        def within(of: list[Event], seconds: int) -> list[Event]:
            size = max(1, seconds // 60)
            first = (at - seconds + 1) // size * size
            return [e for e in of if e.at >= first]

        def there(of: list[Event]) -> list[Event]:
            return [e for e in of if e.said == "approved" and e.n not in self.back]

        def date(moment: int) -> Any:
            import zoneinfo
            from datetime import datetime

            return datetime.fromtimestamp(moment, zoneinfo.ZoneInfo(ZONES[CARDS[ask.card]])).date()

        if ask.mcc == "7995":
            return "rule_declined"
        if early:
            return "reversed_before"
        today = date(at)
        noes = {"approved", "decline_limit", "reversed_before"}
        if sum(e.said not in noes for e in within(mine, 600)) + 1 > 3:
            return "decline_limit"
        if len(there(within(mine, 10))) + 1 > 2:
            return "count_limit"
        if sum(e.ask.amount for e in there(within(ours, HOUR))) + ask.amount > 9000:
            return "amount_limit"
        of_today = [e for e in there(mine) if date(e.at) == today]
        if sum(e.ask.amount for e in of_today) + ask.amount > 12_000:
            return "amount_limit"
        week = [e for e in there(ours) if date(e.at).isocalendar()[:2] == today.isocalendar()[:2]]
        if ask.mcc == "5812" and sum(e.ask.mcc == "5812" for e in week) + 1 > 3:
            return "count_limit"
        if len({e.ask.merchant for e in there(within(ours, 1200))} | {ask.merchant}) > 2 and (
            ask.merchant not in {e.ask.merchant for e in there(within(ours, 1200))}
        ):
            return "merchants_limit"
        month = [e for e in there(mine) if (date(e.at).year, date(e.at).month) == (
            today.year, today.month)]  # fmt: skip
        lands = {e.ask.country for e in month}
        if ask.country not in lands and len(lands) + 1 > 2:
            return "countries_limit"
        same = [e for e in there(within(mine, 2 * HOUR)) if e.ask.merchant == ask.merchant]
        return "count_limit" if len(same) + 1 > 4 else "approved"

    def agree(self, asked: list[tuple[int, int, Ask, bool]], said: dict[int, str]) -> bool:
        """Whether there is an order in which these answers are right; it is taken as theirs."""
        for order in permutations(asked):
            so_far: list[Event] = []
            for n, at, ask, early in order:
                if self.verdict(at, ask, early, so_far) != said[n]:
                    break
                so_far.append(Event(n, at, ask, CARDS[ask.card], said[n]))
            else:
                self.events += so_far
                return True
        return False


numbers = count(1)


def request_of(n: int, at: int, ask: Ask, card_key: str) -> AuthorizationRequest:
    return AuthorizationRequest(
        network="generic", mti="0100", card_key=card_key, purpose=Purpose.PURCHASE,
        amount_minor=ask.amount, currency="840", transaction_minor=ask.amount,
        transaction_currency="840", mcc=ask.mcc, merchant_id=ask.merchant, terminal_id="T1",
        acquirer_id="123456", country=ask.country, entry_mode="051", expiry="", stan=f"{n:06}",
        rrn=f"{n:012}", sent_at=at,
    )  # fmt: skip


def reversal_of(n: int, request: AuthorizationRequest, at: int) -> Reversal:
    sent = utc(request.sent_at * 1000).strftime("%m%d%H%M%S")
    return Reversal(
        network="generic", mti="0400", card_key=request.card_key,
        transaction_minor=request.amount_minor, transaction_currency="840", remaining_minor=-1,
        original=Original(mti="0100", stan=request.stan, sent=sent), stan=f"{n:06}", rrn=f"{n:012}",
        merchant_id=request.merchant_id, terminal_id="T1", acquirer_id="123456", sent_at=at,
    )  # fmt: skip


class Town:
    """One life on a store of its own cards; the bookkeeper beside it."""

    def __init__(self, state: RedisHotState, clock: ManualClock, tag: str) -> None:
        self.state, self.clock, self.tag = state, clock, tag
        self.books = Books()
        self.asked: dict[int, tuple[AuthorizationRequest, str, str]] = {}
        self.engines = [
            Engine(state, NearCache(100), clock, SpoolInMemory(), Watcher(), AMPLE, f"{tag}{n}")
            for n in range(2)
        ]

    async def open(self) -> None:
        rows = [
            NewAccount(profile=account(f"{self.tag}{name}", time_zone=zone), opening_minor=10**9)
            for name, zone in ZONES.items()
        ]
        await put_accounts(self.state, rows, "test")
        self.pans = {name: f"{int(pan) + 1000 * int(self.tag[1:])}" for name, pan in PANS.items()}
        cards = [
            NewCard(pan=Pan(self.pans[name]), account_id=f"{self.tag}{on}", expiry="4012")
            for name, on in CARDS.items()
        ]
        await put_cards(self.state, KEYS, cards, "test")

    def now(self) -> int:
        return self.clock.now_ms() // 1000

    async def live(self, step: Any) -> None:
        if isinstance(step, list):
            await self.ask(step, early=False)
        elif step[0] == "wait":
            self.clock.advance(step[1])
        elif step[0] == "edge" and self.books.events:
            events = self.books.events
            then = events[-1 - step[1] % len(events)]
            self.clock.advance(max(then.at + step[2] + step[3] - self.now(), 0))
            late = min(then.ask.late, 5)
            await self.ask([then.ask._replace(late=0), step[4]._replace(late=late)], early=False)
        elif step[0] == "early":
            await self.ask([step[2]], early=True)
        elif step[0] == "back" and self.asked:
            n = sorted(self.asked)[-1 - step[1] % len(self.asked)]
            request, _, _ = self.asked[n]
            back = reversal_of(next(numbers), request, max(self.now(), request.sent_at))
            await reverse(self.engines[n % 2], back, self.clock.monotonic())
            self.books.back.add(n)
        elif step[0] == "expire" and self.asked:
            n = sorted(self.asked)[-1 - step[1] % len(self.asked)]
            _, account_id, id = self.asked[n]
            body = encode_body(CloseBody("test"))
            close = Close(
                act_id=f"{self.tag}x{n}", account_id=account_id, authorization_id=id,
                kind="expired", at=self.now(), body=body,
            )  # fmt: skip
            await self.state.close(close, 5)
            self.books.back.add(n)

    async def ask(self, some: list[Ask], *, early: bool) -> None:
        rows = [(next(numbers), self.now() - ask.late, ask, early) for ask in some]
        said: dict[int, str] = {}

        async def one(n: int, at: int, ask: Ask) -> None:
            request = request_of(n, at, ask, KEYS.card_key(Pan(self.pans[ask.card])))
            engine = self.engines[n % 2]
            if early:
                back = reversal_of(next(numbers), request, self.now())
                await reverse(engine, back, self.clock.monotonic())
            outcome = await authorize(engine, request, self.clock.monotonic())
            again = await authorize(engine, request, self.clock.monotonic())
            assert again.reason is outcome.reason
            said[n] = str(outcome.reason)
            if said[n] == "approved":
                account_id = f"{self.tag}{CARDS[ask.card]}"
                self.asked[n] = request, account_id, outcome.authorization_id

        await asyncio.gather(*(one(n, at, ask) for n, at, ask, _ in rows))
        # What is of different accounts has nothing to do with one another.
        for account_id in ZONES:
            of_it = [row for row in rows if CARDS[row[2].card] == account_id]
            assert self.books.agree(of_it, said), (of_it, said, self.books.events[-12:])


def test_any_traffic_is_answered_as_the_whole_history_says(fresh_redis: str) -> None:
    tags = count(1)

    async def opening() -> int:
        client = admin.administrator(fresh_redis)
        state = await opened(fresh_redis)
        await put_policy(client, POLICY, "test")
        seconds = int((await client.time())[0])
        await client.aclose()
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)
        return seconds

    # Behind the store's clock, so that whatever is held may expire at any time.
    begins = (asyncio.run(opening()) - 90 * DAY) // DAY * DAY

    async def life(history: list[Any], second: int) -> None:
        state = await opened(fresh_redis)
        town = Town(state, ManualClock((begins + second) * 1000), f"t{next(tags)}")
        await town.open()
        for step in history:
            await town.live(step)
        connection = state._connection
        assert connection is not None
        for on in ZONES:  # what has ended is dropped: counters do not pile up
            fields = await connection.call(("HKEYS", keys.account(f"{town.tag}{on}")), 5)
            assert sum(field[:2] == b"u:" for field in fields) < 60
        connection.close()
        await asyncio.sleep(0)

    @settings(
        max_examples=EXAMPLES, deadline=None, phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.lists(steps, min_size=4, max_size=30), st.sampled_from([0, 14_390, 86_390, 40_000]))
    def lives(history: list[Any], second: int) -> None:
        asyncio.run(life(history, second))

    lives()
    for seed in range(CROWDED):
        asyncio.run(life(a_crowded_life(Random(seed)), seed * 37 % DAY))
    report = asyncio.run(audit_store(fresh_redis))
    assert report.ok, report.differences[:5]
