"""Ceilings of a whole program: many shards, engines that race; never over, and early by how much.

On a real store, since what is told here is told of its shards.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

from authz.app import cli
from authz.audit import audit
from authz.authorize import authorize
from authz.cards import NearCache
from authz.clock import ManualClock, utc
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.engine import Engine, Outcome, Settings
from authz.hot import admin, keys
from authz.hot.errors import NoReply
from authz.hot.quotas import centre_of
from authz.hot.resp import connect
from authz.hot.store import RedisHotState
from authz.increase import increase
from authz.judgement import put_policy
from authz.privacy import Pan
from authz.quota_rows import numbers
from authz.reverse import reverse
from rules.facts import AuthorizationRequest, Increment, Original, Purpose, Reversal
from rules.reason import Reason
from tests.scenarios.test_velocity import at
from tests.support.engine import KEYS, SpoolInMemory, Watcher, account

ACCOUNTS = 40
NOON = at("2026-03-22T12:00:00")
AMPLE = Settings(hot_deadline_s=9000 * 86_400)  # the store's clock is of another day


def limit(measure: str, ceiling: int, window: str = "day", name: str = "all") -> str:
    return (
        f'version = "{measure} {ceiling}"\n[[limit]]\nname = "{name}"\nper = "program"\n'
        f'measure = "{measure}"\nceiling = {ceiling}\nwindow = "{window}"\n'
    )


class Town:
    """A program of many accounts, in one store, and engines that share it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engines: list[Engine] = []
        self.connections: list[Any] = []
        self.clock = ManualClock(NOON)
        self.count = 0

    async def open(self, policy: str, engines: int = 1, **profile: Any) -> "Town":
        self.client = admin.administrator(self.url)
        await admin.install(self.client)
        self.run_id = await admin.open_gates(self.client, new=True, source="test")
        for _ in range(engines):
            await self.another_engine()
        await self.put(range(ACCOUNTS), **profile)
        await self.change(policy)
        return self

    async def put(self, numbers: Iterable[int], **profile: Any) -> None:
        hot: Any = self.engines[0].hot
        rows = [
            NewAccount(profile=account(f"A{n}", **profile), opening_minor=10**7) for n in numbers
        ]
        await put_accounts(hot, rows, "test")
        cards = [NewCard(pan=Pan(pan_of(n)), account_id=f"A{n}", expiry="2812") for n in numbers]
        await put_cards(hot, KEYS, cards, "test")

    async def another_engine(self) -> Engine:
        hot, connection = RedisHotState(), await connect(self.url)
        hot.attach(connection, self.run_id)
        self.connections.append(connection)
        spool: Any = SpoolInMemory()
        engine = Engine(
            hot, NearCache(1000), self.clock, spool, Watcher(), AMPLE,
            f"e{len(self.engines)}",
        )  # fmt: skip
        self.engines.append(engine)
        return engine

    async def change(self, policy: str) -> None:
        await put_policy(self.client, policy, "test")

    async def close(self) -> None:
        report = await audit(self.client)
        assert report.ok, report.differences
        for connection in self.connections:
            connection.close()
        await self.client.aclose()
        await asyncio.sleep(0)

    async def buy(self, n: int, amount: int, engine: int = 0, **changes: Any) -> "Buy":
        self.count += 1
        request = request_of(self.count, n, amount, self.clock.now_ms() // 1000, **changes)
        outcome = await authorize(self.engines[engine], request, self.clock.monotonic())
        return Buy(n, request, outcome)

    async def take_back(self, buy: "Buy", engine: int = 0) -> None:
        self.count += 1
        told = reversal_of(self.count, buy.request, self.clock.now_ms() // 1000)
        await reverse(self.engines[engine], told, self.clock.monotonic())

    async def used(self) -> int:
        return sum(quota[1] for quota in await self.quotas())

    async def quotas(self) -> list[list[int]]:
        found: list[list[int]] = []
        for shard in keys.ALL_SHARDS:
            flat: Any = await self.client.hgetall(keys.control(shard))
            control = {name.decode(): value.decode() for name, value in flat.items()}
            found += numbers(control, "q:").values()
        return found


class Buy:
    def __init__(self, n: int, request: AuthorizationRequest, outcome: Outcome) -> None:
        self.n, self.request, self.outcome = n, request, outcome

    @property
    def approved(self) -> int:
        if self.outcome.reason is not Reason.APPROVED:
            return 0
        part = self.outcome.approved
        return part.billing_minor if part else self.request.amount_minor

    @property
    def reason(self) -> str:
        return self.outcome.reason


def pan_of(n: int) -> str:
    return f"99999900{n:08}"


def request_of(
    stan: int, n: int, amount: int, sent_at: int, **changes: Any
) -> AuthorizationRequest:
    said: dict[str, Any] = {
        "network": "test", "mti": "0100", "card_key": KEYS.card_key(Pan(pan_of(n))),
        "purpose": Purpose.PURCHASE, "amount_minor": amount, "currency": "840",
        "transaction_minor": amount, "transaction_currency": "840", "mcc": "5411",
        "merchant_id": "M", "terminal_id": "T", "acquirer_id": "1", "country": "US",
        "entry_mode": "051", "expiry": "2812", "stan": f"{stan:06}", "rrn": f"{stan:012}",
        "sent_at": sent_at,
    }  # fmt: skip
    return AuthorizationRequest(**(said | changes))


def original_of(request: AuthorizationRequest) -> Original:
    return Original(mti="0100", stan=request.stan, sent=de7(request.sent_at))


def de7(at_s: int) -> str:
    return utc(at_s * 1000).strftime("%m%d%H%M%S")


def reversal_of(stan: int, request: AuthorizationRequest, sent_at: int) -> Reversal:
    return Reversal(
        network="test", mti="0420", card_key=request.card_key,
        transaction_minor=request.transaction_minor, transaction_currency="840",
        remaining_minor=-1, original=original_of(request), stan=f"{stan:06}", rrn=request.rrn,
        merchant_id="M", terminal_id="T", acquirer_id="1", sent_at=sent_at,
    )  # fmt: skip


def story(scenario: Callable[[Town], Awaitable[None]], url: str) -> None:
    async def whole() -> None:
        town = Town(url)
        try:
            await scenario(town)
        finally:
            if town.connections:
                await town.close()

    asyncio.run(whole())


# -- one engine: exactly the ceiling -----------------------------------------------------------


@pytest.mark.parametrize("amount", [1, 700, 5000, 30_000])
def test_one_engine_gives_the_whole_ceiling_away_and_no_cent_more(
    fresh_redis: str, amount: int
) -> None:
    ceiling = 30_000 if amount > 1 else 100

    async def scenario(town: Town) -> None:
        await town.open(limit("amount", ceiling))
        spent = 0
        for n in range(ceiling // amount):
            bought = await town.buy(n % ACCOUNTS, amount)
            spent += bought.approved
            assert bought.approved == amount, n
        left = ceiling - spent
        assert left < amount
        over = await town.buy(3, left + 1)
        assert over.reason == Reason.AMOUNT_LIMIT
        town.clock.advance(1.1)
        if left:
            assert (await town.buy(5, left)).approved == left
        assert await town.used() == ceiling

    story(scenario, fresh_redis)


def test_a_count_is_a_programs_too(fresh_redis: str) -> None:
    async def scenario(town: Town) -> None:
        await town.open(limit("count", 25))
        said = [(await town.buy(n % ACCOUNTS, 100)).reason for n in range(27)]
        assert said == [Reason.APPROVED] * 25 + [Reason.COUNT_LIMIT] * 2

    story(scenario, fresh_redis)


def test_what_is_taken_back_is_used_again_in_another_shard(fresh_redis: str) -> None:
    async def scenario(town: Town) -> None:
        await town.open(limit("amount", 10_000))
        first = await town.buy(0, 10_000)
        assert (await town.buy(1, 1)).reason == Reason.AMOUNT_LIMIT
        await town.take_back(first)
        # Within a second of the last look at the others it is early; then it is not.
        assert (await town.buy(1, 10_000)).reason == Reason.AMOUNT_LIMIT
        assert (await town.buy(0, 1000)).approved == 1000  # in its own shard it is room at once
        town.clock.advance(1.1)
        assert (await town.buy(1, 9000)).approved == 9000
        assert (await town.buy(2, 1)).reason == Reason.AMOUNT_LIMIT

    story(scenario, fresh_redis)


def test_less_than_was_asked_where_less_will_do(fresh_redis: str) -> None:
    async def scenario(town: Town) -> None:
        await town.open(limit("amount", 10_000))
        assert (await town.buy(0, 7000)).approved == 7000
        part = await town.buy(1, 5000, partial_ok=True)
        assert part.outcome.approved is not None
        assert part.approved == 3000
        assert (await town.buy(2, 5000, partial_ok=True)).reason == Reason.AMOUNT_LIMIT

    story(scenario, fresh_redis)


def test_increments_count(fresh_redis: str) -> None:
    async def scenario(town: Town) -> None:
        await town.open(limit("amount", 10_000))
        bought = await town.buy(0, 4000)
        for more, reason in ((5000, Reason.APPROVED), (1001, Reason.AMOUNT_LIMIT),
                             (1000, Reason.APPROVED), (1, Reason.AMOUNT_LIMIT)):  # fmt: skip
            town.count += 1
            asked = request_of(town.count, 0, more, bought.request.sent_at + 60)
            told = Increment(asked=asked, original=original_of(bought.request))
            said = await increase(town.engines[0], told, town.clock.monotonic())
            assert said.reason == reason, more
            town.clock.advance(1.1)
        assert await town.used() == 10_000
        await town.take_back(bought)
        assert await town.used() == 0

    story(scenario, fresh_redis)


def test_a_window_ends_in_utc_wherever_its_accounts_are(fresh_redis: str) -> None:
    async def scenario(town: Town) -> None:
        await town.open(limit("amount", 5000), time_zone="Asia/Tokyo")
        town.clock.advance((at("2026-03-22T14:59:59") - NOON) / 1000)
        assert (await town.buy(0, 5000)).approved == 5000
        town.clock.advance(1)  # midnight in Tokyo
        assert (await town.buy(1, 5000)).reason == Reason.AMOUNT_LIMIT
        town.clock.advance(9 * 3600 - 1)
        assert (await town.buy(1, 5000)).reason == Reason.AMOUNT_LIMIT
        town.clock.advance(1)
        assert (await town.buy(1, 5000)).approved == 5000
        town.clock.advance(3 * 86_400)
        assert (await town.buy(1, 5000)).approved == 5000
        assert (await town.buy(1, 1)).reason == Reason.AMOUNT_LIMIT
        assert len([q for q in await town.quotas() if q[0]]) == 2  # of the shard that none asked

    story(scenario, fresh_redis)


def test_amounts_of_each_currency_are_counted_apart(fresh_redis: str) -> None:
    async def scenario(town: Town) -> None:
        await town.open(limit("amount", 5000))
        await town.put([ACCOUNTS], currency="978")
        assert (await town.buy(0, 5000)).approved == 5000
        euro: dict[str, Any] = {"currency": "978", "transaction_currency": "978"}
        assert (await town.buy(ACCOUNTS, 5000, **euro)).approved == 5000
        assert (await town.buy(ACCOUNTS, 1, **euro)).reason == Reason.AMOUNT_LIMIT

    story(scenario, fresh_redis)


def test_a_lowered_ceiling_holds_from_the_next_message_on(fresh_redis: str) -> None:
    async def scenario(town: Town) -> None:
        await town.open(limit("amount", 1_000_000), engines=2)
        for n in range(20):
            assert (await town.buy(n, 1000)).approved == 1000
        granted = sum(quota[0] for quota in await town.quotas())
        assert granted > 80_000  # shares of what was left, most of it idle
        await town.change(limit("amount", 25_000))
        spent = 20_000
        for n in range(60):
            spent += (await town.buy(n % ACCOUNTS, 1000, n % 2)).approved
            assert spent <= 25_000
        assert spent == 25_000
        await town.change(limit("amount", 10_000))
        assert (await town.buy(1, 1)).reason == Reason.AMOUNT_LIMIT
        await town.change(limit("amount", 26_000))
        assert (await town.buy(1, 1000)).approved == 1000

    story(scenario, fresh_redis)


# -- engines that race -------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["amount", "count"])
@pytest.mark.parametrize("seed", [1, 2])
def test_engines_that_race_are_never_over_at_any_time(
    fresh_redis: str, seed: int, measure: str
) -> None:
    async def scenario(town: Town) -> None:
        dice = Random(seed)
        ceiling = 40_000 if measure == "amount" else 60
        await town.open(limit(measure, ceiling), engines=3)
        most, done = 0, False

        async def watch() -> None:
            nonlocal most
            while not done:
                async with town.client.pipeline(transaction=True) as together:
                    for shard in keys.ALL_SHARDS:
                        together.hgetall(keys.control(shard))
                    flats = await together.execute()
                controls = [{k.decode(): v.decode() for k, v in flat.items()} for flat in flats]
                quotas = [list(numbers(control, "q:").values()) for control in controls]
                most = max(most, sum(quota[1] for some in quotas for quota in some))
                await asyncio.sleep(0.001)

        async def shopper(engine: int) -> list[Buy]:
            bought: list[Buy] = []
            for _ in range(60):
                amount = dice.choice([1, 100, 900, 2500])
                one = await town.buy(dice.randrange(ACCOUNTS), amount, engine)
                if one.approved and dice.random() < 0.25:
                    await town.take_back(one, engine)
                elif one.approved:
                    bought.append(one)
                town.clock.advance(0.02)
            return bought

        watching = asyncio.create_task(watch())
        lists = await asyncio.gather(*(shopper(n % 3) for n in range(9)))
        done = True
        await watching
        bought = [one for some in lists for one in some]
        spent = sum(one.approved for one in bought) if measure == "amount" else len(bought)
        assert spent == await town.used()
        assert most <= ceiling
        town.clock.advance(1.1)
        # Nothing is lost: what is left is had, whichever shard asks.
        left = ceiling - spent
        if measure == "amount" and left:
            assert (await town.buy(7, left, 1)).approved == left
        assert (await town.buy(8, 2500, 2)).reason in (Reason.AMOUNT_LIMIT, Reason.COUNT_LIMIT) \
            or measure == "count"  # fmt: skip
        assert await town.used() <= ceiling

    story(scenario, fresh_redis)


def test_many_at_once_for_the_last_of_it(fresh_redis: str) -> None:
    """Forty ask for the same ten: ten get it, and nobody waits for nothing."""

    async def scenario(town: Town) -> None:
        await town.open(limit("count", 10), engines=2)
        said = await asyncio.gather(*(town.buy(n, 100, n % 2) for n in range(ACCOUNTS)))
        reasons = [one.reason for one in said]
        assert reasons.count(Reason.APPROVED) == 10, reasons
        assert reasons.count(Reason.COUNT_LIMIT) == 30, reasons

    story(scenario, fresh_redis)


def test_what_an_engine_leased_and_did_not_grant_is_lost_and_never_over(fresh_redis: str) -> None:
    async def scenario(town: Town) -> None:
        await town.open(limit("amount", 128_000), engines=2)
        hot: Any = town.engines[0].hot
        grant = hot.grant

        async def killed(*_: Any) -> bool:
            raise NoReply("killed between the two")

        hot.grant = killed
        assert (await town.buy(0, 500)).reason == Reason.UNAVAILABLE
        assert await town.used() == 0
        hot.grant = grant
        spent = 0
        for n in range(64):
            spent += (await town.buy(n % ACCOUNTS, 2000, 1)).approved
            town.clock.advance(1.1)
        assert spent == 126_000  # a share of what was left, 1000, is lost
        assert (await town.buy(3, 1000, 1)).approved == 1000
        assert (await town.buy(4, 1, 1)).reason == Reason.AMOUNT_LIMIT

    story(scenario, fresh_redis)


def test_a_repeat_is_told_the_same_and_uses_nothing(fresh_redis: str) -> None:
    async def scenario(town: Town) -> None:
        await town.open(limit("amount", 1000), engines=2)
        bought = await town.buy(0, 600)
        for engine in town.engines:
            again = await authorize(engine, bought.request, town.clock.monotonic())
            assert (again.reason, again.replayed) == (Reason.APPROVED, True)
        over = await town.buy(1, 600)
        await town.take_back(bought)
        town.clock.advance(2)
        again = await authorize(town.engines[1], over.request, town.clock.monotonic())
        assert (again.reason, again.replayed) == (Reason.AMOUNT_LIMIT, True)
        assert await town.used() == 0

    story(scenario, fresh_redis)


# -- afterwards: the journal alone -------------------------------------------------------------


def a_day_of_two_engines(seen: dict[str, Buy]) -> Callable[[Town], Awaitable[None]]:
    """Refusals of every kind, some of them early; parts; what is taken back and used again."""

    async def scenario(town: Town) -> None:
        dice = Random(5)
        await town.open(limit("amount", 30_000) + own_limit(), engines=2)
        for n in range(120):
            amount = dice.choice([100, 1500, 1500, 4000])
            partial = dice.random() < 0.2
            one = await town.buy(dice.randrange(20), amount, n % 2, partial_ok=partial)
            seen[f"{one.reason}{' part' if one.outcome.approved else ''}"] = one
            if one.approved and dice.random() < 0.5:
                town.clock.advance(0.3)
                await town.take_back(one, n % 2)

    return scenario


def own_limit() -> str:
    return '[[limit]]\nname = "own"\nmeasure = "count"\nceiling = 2\nwindow = "day"\n'


def said_by(url: str, *words: str) -> Any:
    command = [*words, "--redis", url]
    result = CliRunner().invoke(cli.main, command, env={"AUTHZ_REDIS_FSYNC": "off"})
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_backtest_takes_refusals_as_recorded_and_counts_a_draft_over_all(
    fresh_redis: str, tmp_path: Path
) -> None:
    seen: dict[str, Buy] = {}
    story(a_day_of_two_engines(seen), fresh_redis)
    assert {"approved", "approved part", "amount_limit", "count_limit"} <= seen.keys()
    report = said_by(fresh_redis, "rules", "backtest", "--json", "-")["report"]
    assert report["same"] == report["requests"] == 120, report
    draft = tmp_path / "draft.toml"
    draft.write_text(limit("amount", 5000) + own_limit())
    report = said_by(fresh_redis, "rules", "backtest", str(draft), "--json", "-")["report"]
    assert report["requests"] == 120
    assert report["same"] < 120


def test_explain_tells_the_ceiling_and_what_there_was_of_it_in_the_shard(fresh_redis: str) -> None:
    seen: dict[str, Buy] = {}
    story(a_day_of_two_engines(seen), fresh_redis)
    for what, says in (("amount_limit", "amount_limit"), ("approved", "no objection")):
        told = said_by(fresh_redis, "explain", seen[what].outcome.message_id, "--json")
        [row] = [one for one in told["ceilings"] if one["counter"].startswith("%")]
        assert row["says"] == says
        assert row["ceiling_minor"] == 30_000
        room, use = row["room_in_shard_minor"], row["use_minor"]
        assert (use > room) == (what == "amount_limit")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("q:%test:840/all/amount/20260322", "9000 1 10000 0", "quota"),
        ("q:%test:840/all/amount/20260322", "99000 1000 10000 0", "granted of"),
        ("l:%test:840/all/amount/20260322", "12000 10000 0", "leased of"),
    ],
)
def test_the_audit_sees_a_quota_that_is_wrong(
    fresh_redis: str, field: str, value: str, says: str
) -> None:
    async def scenario(town: Town) -> None:
        await town.open(limit("amount", 10_000))
        assert (await town.buy(0, 1000)).approved == 1000
        if field.startswith("q"):
            shard = keys.shard_of("A0")
        else:
            shard = centre_of(field[2:])
        kept: Any = await town.client.hget(keys.control(shard), field)
        await town.client.hset(keys.control(shard), field, value)
        report = await audit(town.client)
        assert not report.ok
        assert any(says in row.field for row in report.differences), report.differences
        await town.client.hset(keys.control(shard), field, kept)

    story(scenario, fresh_redis)
