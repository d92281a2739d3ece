"""A referral, from its 01 to the cardholder's next attempt: engines, a real store, the commands."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.audit import audit_store
from authz.control import NewAccount, NewCard, freeze_card, put_accounts, put_cards
from authz.control import card_id_for as find_card
from authz.hot import admin, keys
from authz.hot.acts import Withdraw
from authz.judgement import put_lists, put_policy
from authz.privacy import Pan
from authz.referral import Terms, approve, decline
from authz.reviews import LIFE_S, Reviews
from rules.facts import CardState
from tests.support.engine import KEYS, PAN, InMemoryLink, World, account, code, purchase, reversal
from tests.support.hot import opened

NEW_PAN = "9999990000000036"
POLICY = """
version = "3"
[[rule]]
name = "no vices"
when = { mcc = ["7995"] }
outcome = "decline"
reason = "mcc_blocked"
[[rule]]
name = "large"
when = { amount_from = 5000 }
outcome = "refer"
[[rule]]
name = "behind it"
when = { amount_from = 90000 }
outcome = "decline"
"""
SHOP = "MERCHANT0000001"


READ: dict[bytes, Callable[[Any, bytes], Any]] = {
    b"hash": lambda client, key: client.hgetall(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"stream": lambda client, key: client.xrange(key),
    b"string": lambda client, key: client.get(key),
}


class Stage:
    """Account A1 with one card, two engines, and an operator at the command line."""

    def __init__(self, url: str, state: Any, client: Any, now_ms: int) -> None:
        self.url, self.state, self.client = url, state, client
        self.world = World(state)
        self.world.clock.advance((now_ms - self.world.clock.now_ms()) / 1000)
        engines = self.world.engine, self.world.another_engine(name="e2")
        self.links: list[InMemoryLink] = [self.world.link(engine) for engine in engines]

    @property
    def now_ms(self) -> int:
        return int(self.world.clock.now_ms())

    def asks(self, stan: int, amount: int = 6000, **changes: str) -> dict[int, str]:
        return purchase(stan, amount, at_ms=self.now_ms, **changes)

    async def buy(self, stan: int, amount: int = 6000, engine: int = 0, **changes: str) -> str:
        return code(await self.links[engine].say("0100", self.asks(stan, amount, **changes)))

    async def run(self, *words: str, exit_code: int = 0) -> Result:
        env = {"AUTHZ_REDIS_FSYNC": "off"}
        result = await asyncio.to_thread(
            CliRunner().invoke, cli.main, [*words, "--redis", self.url], env=env
        )
        assert result.exit_code == exit_code, result.output
        assert PAN not in result.output
        return result

    async def waiting(self) -> list[Any]:
        found = json.loads((await self.run("review", "list", "--json", "-")).stdout)
        assert found["waiting"] == len(found["reviews"])
        return list(found["reviews"])

    async def explained(self, stan: int) -> Any:
        words = ("show", "message", "--stan", str(stan), "--account", "A1", "--json")
        [message] = json.loads((await self.run(*words)).stdout)["messages"]
        words = ("explain", message["message_id"], "--account", "A1")
        assert "exception" in (await self.run(*words)).stdout
        return json.loads((await self.run(*words, "--json")).stdout)

    async def approve_the_only_one(self, *words: str) -> str:
        [case] = await self.waiting()
        await self.run("review", "approve", case["review_id"], "--by", "J. Doe", *words)
        return str(case["review_id"])

    async def card_id(self, pan: str = PAN) -> str:
        return (await find_card(self.state, KEYS, Pan(pan))).card_id

    async def put_card(self, pan: str = PAN, **changes: Any) -> None:
        new = NewCard(pan=Pan(pan), account_id="A1", expiry="2812", **changes)
        outcome = await put_cards(self.state, KEYS, [new], "test")
        assert not outcome.refused

    async def used(self) -> dict[str, int]:
        found = await self.client.hgetall(keys.account("A1"))
        return {
            name.decode().partition("/exception/")[2].partition("/")[2]: int(value)
            for name, value in found.items()
            if b"/exception/" in name
        }


@asynccontextmanager
async def stage(url: str, funds: int = 1_000_000) -> AsyncIterator[Stage]:
    state, client = await opened(url), admin.administrator(url)
    now_ms = 1000 * int((await client.time())[0]) + 60_000
    here = Stage(url, state, client, now_ms)
    await put_accounts(state, [NewAccount(profile=account(), opening_minor=funds)], "test")
    await here.put_card()
    await put_policy(client, POLICY, "test")
    yield here
    # Every answer comes out again of the journal alone, exceptions and what they were used for.
    backtest = json.loads((await here.run("rules", "backtest", "--json", "-")).stdout)
    assert backtest["report"]["same"] == backtest["report"]["requests"] > 0
    assert (await audit_store(url)).differences == []
    async for key in client.scan_iter():
        found = await READ[await client.type(key)](client, key)
        assert PAN not in f"{key} {found}"
    await client.aclose()
    state._connection.close()  # type: ignore[union-attr]
    await asyncio.sleep(0)


def test_referred_approved_and_the_next_attempt_passes_once(fresh_redis: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis) as here:
            assert await here.buy(1) == "01"
            first = here.asks(1)
            assert code(await here.links[1].say("0101", first)) == "01"
            [case] = await here.waiting()
            assert (case["rule"], case["policy"], case["merchant_id"]) == ("large", "3", SHOP)
            assert (case["amount_minor"], case["amount_currency"]) == (6000, "840")
            id = case["review_id"]
            text = (await here.run("review", "list")).stdout
            assert "60.00 USD" in text
            assert "GROCER" in text
            assert "1 case waiting" in text
            assert "60.00 USD" in (await here.run("review", "show", id)).stdout

            said = await here.run("review", "approve", id, "--by", "J. Doe", "--note", f"for {PAN}")
            assert "once, at MERCHANT0000001, up to 60.00 USD" in said.stdout
            assert await here.waiting() == []
            assert code(await here.links[0].say("0101", first)) == "01", "what was said stands"
            assert await here.buy(2, engine=1) == "00"
            assert await here.used() == {"count/ever": 1, "amount/ever": 6000}
            assert await here.buy(3) == "01"
            [again] = await here.waiting()
            passed, referred = [await here.explained(stan) for stan in (2, 3)]
            one = passed["exception"]
            assert (one["review_id"], one["opened_by"]) == (id, "J. Doe")
            assert passed["checks"][-1]["check"] == "large"
            said = f"exception {one['exception_id']} of J. Doe until {one['until']} lets it pass"
            assert said in passed["checks"][-1]["saw"]
            assert (passed["answer"], referred["answer"]) == ("approved", "referred")
            assert (passed["same"], referred["same"]) == (True, True)
            assert referred["review"] == "a case was opened"
            [ceiling] = referred["ceilings"]
            assert (ceiling["before_count"], ceiling["says"]) == (1, "referred")
            assert again["review_id"] != id
            assert again["exception_used_up"]

            for verb in ("approve", "decline"):
                twice = await here.run("review", verb, id, exit_code=1)
                assert "That case was approved at 20" in twice.output
                assert "by J. Doe: for 999999******0010; nothing was changed." in twice.output
            await here.run("review", "decline", again["review_id"], "--by", "jdoe")
            assert await here.waiting() == []
            assert await here.buy(4) == "01"
            twice = await here.run("review", "approve", again["review_id"], exit_code=1)
            assert "was declined at" in twice.output
            nobody = await here.run("review", "show", "nobody", exit_code=1)
            assert "No case of that id." in nobody.output

            # The case that the used-up exception opened, approved: it may be used once more.
            await here.approve_the_only_one()
            assert [await here.buy(n) for n in (5, 6)] == ["00", "01"]

    asyncio.run(story())


def test_engines_that_race_for_one_exception(fresh_redis: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis) as here:
            assert await here.buy(1) == "01"
            await here.approve_the_only_one()
            said = await asyncio.gather(*(here.buy(10 + n, engine=n % 2) for n in range(12)))
            assert sorted(said) == ["00", *["01"] * 11]
            assert len(await here.waiting()) == 11

    asyncio.run(story())


def test_of_two_people_who_decide_at_once_one_does(fresh_redis: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis) as here:
            assert await here.buy(1) == "01"
            [case] = await here.waiting()
            id, who = case["review_id"], await find_card(here.state, KEYS, Pan(PAN))
            terms = Terms(
                merchant_id=SHOP, amount_minor=6000, currency="840", hours=1, uses=1,
                opened_by="J. Doe",
            )  # fmt: skip
            honest, sent_at = here.state.profiles, here.now_ms // 1000

            async def profiles(*given: Any) -> Any:
                """The card is frozen between what the approval reads and what it writes."""
                found = await honest(*given)
                here.state.profiles = honest
                await freeze_card(here.state, who, frozen=True, source="test")
                return found

            here.state.profiles = profiles
            said = await asyncio.gather(
                approve(here.state, id, who, terms, sent_at, sent_at, "one"),
                approve(here.state, id, who, terms, sent_at, sent_at, "two"),
                decline(here.state, id, "A1", "three"),
            )
            assert sum(bool(one) for one in said) == 1
            card = (await here.run("show", "card", who.card_id)).stdout
            assert "frozen" in card, "an approval thaws no card"
            assert await here.waiting() == []

    asyncio.run(story())


def test_a_reversal_gives_it_back(fresh_redis: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis) as here:
            assert await here.buy(1) == "01"
            await here.approve_the_only_one()
            bought = here.asks(2)
            assert code(await here.links[0].say("0100", bought)) == "00"
            back = reversal(bought, at_ms=here.now_ms + 1000)
            assert code(await here.links[0].say("0400", back)) == "00"
            assert await here.used() == {}
            assert [await here.buy(n) for n in (3, 4)] == ["00", "01"]

    asyncio.run(story())


def test_what_an_exception_is_not_for(fresh_redis: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis) as here:
            assert await here.buy(1) == "01"
            await here.approve_the_only_one("--hours", "1")
            assert await here.buy(2, 6001) == "01", "above its bound"
            assert await here.buy(3, de42="MERCHANT0000002") == "01", "another merchant"
            card_id = await here.card_id()
            who = await find_card(here.state, KEYS, Pan(PAN))
            await freeze_card(here.state, who, frozen=True, source="test")
            assert await here.buy(4) == "62", "the card's own state"
            await freeze_card(here.state, who, frozen=False, source="test")
            await put_lists(here.client, [("merchant", SHOP)], "test")
            assert await here.buy(5) == "57", "blocklists"
            await put_lists(here.client, [], "test")
            await here.put_card(daily_amount_minor=5999)
            assert await here.buy(6) == "61", "limits"
            await here.put_card()
            assert "exceptions" in (await here.run("show", "card", card_id)).stdout
            here.world.clock.advance(3700)
            assert await here.buy(7) == "01", "after its end"
            assert await here.used() == {}

    asyncio.run(story())


def test_funds_are_asked_all_the_same(fresh_redis: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis, funds=5999) as here:
            assert await here.buy(1) == "01"
            await here.approve_the_only_one()
            assert await here.buy(2) == "51"
            assert await here.used() == {}, "a decline uses nothing up"

    asyncio.run(story())


def test_two_referrals_of_one_merchant_each_have_their_own(fresh_redis: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis) as here:
            assert [await here.buy(1, 6000), await here.buy(2, 8000)] == ["01", "01"]
            assert await here.buy(3, 6000) == "01", "and the first once more"
            for case in await here.waiting():
                await here.run("review", "approve", case["review_id"])
            said = [await here.buy(n, amount) for n, amount in ((4, 6000), (5, 8000), (6, 6000))]
            assert said == ["00", "00", "00"]
            assert [await here.buy(7, 6000), await here.buy(8, 8000)] == ["01", "01"]

    asyncio.run(story())


def test_a_temporary_exception_of_a_merchant(fresh_redis: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis) as here:
            card_id, vice = await here.card_id(), {"de18": "7995"}
            assert await here.buy(1, 100, **vice) == "57"
            words = ("card", "except", card_id, "--merchant", SHOP, "--by", "J. Doe")
            said = await here.run(*words, "--hours", "48", "--uses", "3", "--amount", "9000")
            assert "3 times, at MERCHANT0000001, up to 90.00 USD" in said.stdout
            assert await here.buy(2, 100, **vice) == "00"
            here.world.clock.advance(47 * 3600)
            assert await here.buy(3, 6000) == "00"
            assert await here.buy(4, 200, **vice) == "00"
            assert await here.buy(5, 200, **vice) == "57", "used up: the rule's own reason"
            assert await here.waiting() == [], "a decline is no referral"
            assert await here.buy(6, 6000) == "01"

            shown = json.loads((await here.run("show", "card", card_id, "--json")).stdout)
            [one] = shown["exceptions"]
            assert (one["uses"], one["used"], one["opened_by"]) == (3, 3, "J. Doe")
            assert await here.run(*words)
            assert [await here.buy(n, 100, **vice) for n in (7, 8, 9, 10)] == ["00"] * 4
            shown = json.loads((await here.run("show", "card", card_id, "--json")).stdout)
            [one] = shown["exceptions"]
            await here.run("card", "except", card_id, "--end", one["exception_id"])
            assert await here.buy(11, 100, **vice) == "57"
            gone = await here.run(
                "card", "except", card_id, "--end", one["exception_id"], exit_code=1
            )
            assert "no such exception" in gone.output

    asyncio.run(story())


def test_48_hours_are_48_hours(fresh_redis: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis) as here:
            await here.run("card", "except", await here.card_id(), "--merchant", SHOP)
            for n, hours in enumerate((0, 24, 23.9)):
                here.world.clock.advance(hours * 3600)
                assert await here.buy(1 + n) == "00"
            here.world.clock.advance(0.2 * 3600)
            assert await here.buy(9) == "01"

    asyncio.run(story())


def test_exceptions_stay_with_a_card_and_with_the_one_that_replaces_it(fresh_redis: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis) as here:
            assert await here.buy(1) == "01"
            await here.approve_the_only_one()
            await here.put_card(daily_count=10)
            await here.put_card(NEW_PAN, replaces=Pan(PAN))
            assert await here.buy(2, de2=NEW_PAN) == "00"
            assert await here.buy(3) == "01", "the uses are one count"
            await here.put_card(NEW_PAN, replaces=Pan(PAN), state=CardState.LOST)
            shown = await here.run("show", "card", await here.card_id(NEW_PAN), "--json")
            assert len(json.loads(shown.stdout)["exceptions"]) == 1

    asyncio.run(story())


def test_an_increment_is_referred_and_approved_like_a_request(fresh_redis: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis) as here:
            bought = here.asks(1, 4000)
            assert code(await here.links[0].say("0100", bought)) == "00"
            original = f"0100{bought[11]}{bought[7]}{'':0>22}"
            assert await here.buy(2, 7000, de90=original) == "01"
            [case] = await here.waiting()
            assert case["kind"] == "increment"
            await here.approve_the_only_one()
            assert await here.buy(3, 7000, de90=original) == "00"
            assert await here.buy(4, 7000, de90=original) == "01", "no more in all"
            assert len(await here.waiting()) == 1
            # What is added to an authorization counts where that one does.
            assert await here.used() == {}

    asyncio.run(story())


def test_a_case_goes_with_an_answer_that_nobody_got(fresh_redis: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis) as here:
            assert await here.buy(1) == "01"
            [case] = await here.waiting()
            act = Withdraw(
                account_id="A1", shard_of="A1", message_id=case["review_id"], attempt="e1-1",
                answer_ttl_s=3600,
            )  # fmt: skip
            assert await here.state.withdraw(act, 5) == "forgotten"
            assert await here.waiting() == []
            gone = await here.run("review", "show", case["review_id"], exit_code=1)
            assert "its answer was withdrawn" in gone.output
            assert await here.buy(1) == "01", "decided afresh"
            assert len(await here.waiting()) == 1

    asyncio.run(story())


class IsReady:
    ready = True


def test_what_nobody_decides_ends_and_is_counted(fresh_redis: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis) as here:
            for stan in range(1, 4):
                assert await here.buy(stan) == "01"
            reviews = Reviews(here.world.engine, IsReady())
            assert await reviews.tick() == 0
            assert (reviews.counts.waiting, reviews.counts.opened) == (3, 3)
            await age_by(here.client, LIFE_S + 120)
            [first, *_] = await here.waiting()
            assert first["age"] == "30 d"
            assert await reviews.tick() == 3
            assert (reviews.counts.waiting, reviews.counts.ended) == (0, 3)
            late = await here.run("review", "approve", first["review_id"], exit_code=1)
            assert "nobody decided it in time" in late.output

    asyncio.run(story())


async def age_by(client: Any, seconds: int) -> None:
    """The cases of account A1, as if they had been opened so much earlier."""
    listed = keys.reviews(keys.shard_of("A1"))
    for member, since in await client.zrange(listed, 0, -1, withscores=True):
        field = keys.review_field(member.decode().partition(" ")[2])
        packed = await client.hget(keys.account("A1"), field)
        card_id, at, body = packed.split(b" ", 2)
        older = b"%d" % (int(at) - seconds)
        await client.hset(keys.account("A1"), field, b" ".join((card_id, older, body)))
        await client.zadd(listed, {member: int(since) - seconds})


@pytest.mark.parametrize("verb", ["list", "show", "approve", "decline"])
def test_help_has_examples(verb: str) -> None:
    said = CliRunner().invoke(cli.main, ["review", verb, "--help"]).output
    assert "Examples:" in said
    assert "Exit codes:" in said
