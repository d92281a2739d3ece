"""Totals against their twin, against the money that moved, and against the journal: to the cent."""

import asyncio
import re
from collections import Counter
from importlib.resources import files
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from authz.audit import audit_store
from authz.hot import keys
from authz.hot.acts import Apply, Authorize, Decision
from authz.hot.errors import HotStateError, Refused
from authz.hot.memory import MemoryHotState
from authz.hot.record import Act
from authz.hot.totals import CURRENCIES as KNOWN
from authz.hot.totals import KINDS, NO_CURRENCY, SCAN_STEP, tally_of
from ledger.journal import ENVELOPE, Envelope
from tests.authz.hot.test_functions import (
    a_dense_history,
    answer,
    applied,
    authorize,
    on_account,
    reverse,
    withdraw,
)
from tests.support.hot import account_act, card_act, store_and_client

DAYS = [("generic", 100), ("generic", 101), ("visa", 100)]
CURRENCIES = ("840", "978")
SHARD = keys.shard_of("A1")


def play(url: str, story: Any) -> None:
    async def whole() -> None:
        async with store_and_client(url) as (state, client):
            await state.put_account(account_act("A1", 10_000))
            await state.put_card(card_act("C1", "A1"))
            await story(state, client)

    asyncio.run(whole())


def counted(act: Any, chance: Random) -> Any:
    """The act with what its network's totals count it under."""
    if not isinstance(act, Authorize | Apply):
        return act
    network, day = chance.choice(DAYS)
    kind = "authorizations"
    if isinstance(act, Authorize):
        kind = "inquiries" if act.inquires else "" if act.posts == 1 else kind
    elif act.act.kind in ("full", "part", "post", "last"):
        kind = ""
    return replace(act, tally=chance.choice([tally_of(network, day, kind)] * 5 + [""]))


async def all_totals(state: Any) -> dict[tuple[str, int, str], Any]:
    return {
        (network, day, currency): await state.totals(network, day, currency, 5)
        for network, day in DAYS
        for currency in CURRENCIES
    }


def net(totals: Any) -> int:
    return (
        totals["credits"][1] + totals["debit_reversals"][1]
        - totals["debits"][1] - totals["credit_reversals"][1]
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_totals_are_those_of_the_model_the_balance_and_the_journal(
    fresh_redis: str, seed: int
) -> None:
    async def story(real: Any, client: Any) -> None:
        chance = Random(seed)
        model = MemoryHotState(now_ms=int((await client.time())[0]) * 1000)
        for number in range(25):
            id, card = f"B{number}", f"D{number}"
            for state in (real, model):
                await state.put_account(account_act(id, 5000))
                await state.put_card(card_act(card, id))
            for act in a_dense_history(chance, 40):
                if isinstance(act, tuple):
                    model.forget(f"{id}{act[1]}")
                    await client.delete(keys.answer(keys.shard_of(id), f"{id}{act[1]}"))
                    continue
                act = counted(on_account(act, id, card), chance)
                assert await answer(real, act) == await answer(model, act), act
            assert await all_totals(real) == await all_totals(model), number

        told, moved = Counter[tuple[str, int]](), Counter[str]()
        for shard in keys.ALL_SHARDS:
            for row in await client.xrange(keys.journal(shard)):
                e = read_entry_of(row)
                for name, count, amount in e.totals:
                    told[name, 0] += count
                    told[name, 1] += amount
                if e.totals and e.kind != "account":
                    moved[e.currency] += e.posted_delta
        for (network, day, currency), totals in (await all_totals(real)).items():
            for kind in KINDS:
                name = f"{network}/{day}/{currency}/{kind}"
                assert totals[kind] == (told[name, 0], told[name, 1]), name
        for currency in CURRENCIES:
            nets = [net(t) for (_, _, c), t in (await all_totals(real)).items() if c == currency]
            assert sum(nets) == moved[currency]
        assert len(told) > 30

    play(fresh_redis, story)


def read_entry_of(row: Any) -> Any:
    """The envelope; the bodies of these acts are no bodies."""
    return msgspec.msgpack.decode(row[1][ENVELOPE], type=Envelope)


T = tally_of("generic", 100, "authorizations")
M = tally_of("generic", 100)  # of what counts by its money alone


async def seen(state: Any, day: int = 100) -> dict[str, tuple[int, int]]:
    totals = await state.totals("generic", day, "840", 5)
    return {kind: value for kind, value in totals.items() if value != (0, 0)}


def test_each_kind_is_counted_once_however_often_it_is_said(fresh_redis: str) -> None:
    async def story(state: Any, client: Any) -> None:
        asked = authorize(1, tally=T)
        posted = authorize(2, posts=1, hold_minor=700, tally=M, references=("90:x2",))
        refund = authorize(3, posts=1, sign=-1, hold_minor=300, tally=M, references=("90:x3",))
        inquiry = authorize(
            4, hold_minor=0, inquires=True, tally=tally_of("generic", 100, "inquiries"),
            references=("90:x4",),
        )  # fmt: skip
        last = applied(
            Act("last", "l1", 1_790_000_060, 900, "840", 900), kind="completion", tally=M,
            references=(("de90", "90:x1"),), currency="840",
        )  # fmt: skip
        back = reverse(2, tally=M)
        for _ in range(3):
            for act in (asked, posted, refund, inquiry):
                await state.authorize(act, 5)
            for act in (last, back):
                await state.apply(act, 5)
        # And after the life of its answer.
        await client.delete(keys.answer(SHARD, "l1"), keys.answer(SHARD, back.message_id))
        for act in (last, back):
            await state.apply(act, 5)
        assert await seen(state) == {
            "authorizations": (1, 0), "debits": (2, 1600), "credits": (1, 300),
            "inquiries": (1, 0), "debit_reversals": (1, 700),
        }  # fmt: skip
        refused = authorize(5, posts=1, hold_minor=99_999, tally=M, references=("90:x5",))
        assert (await state.authorize(refused, 5)).kind == "no_funds"
        assert (await seen(state))["debits"] == (2, 1600)

    play(fresh_redis, story)


@pytest.mark.parametrize("what", ["hold", "post", "inquiry", "increment"])
def test_what_is_withdrawn_is_taken_out_of_the_day_that_it_was_counted_on(
    fresh_redis: str, what: str
) -> None:
    async def story(state: Any, client: Any) -> None:
        await state.authorize(authorize(9, tally=T, references=("90:x9",)), 5)
        before = await seen(state)
        day_after = tally_of("generic", 101, "authorizations")
        match what:
            case "hold":
                act, again = authorize(1, tally=T), authorize(1, attempt="t2", tally=day_after)
            case "post":
                act = authorize(1, posts=1, tally=M)
                again = authorize(1, posts=1, attempt="t2", tally=tally_of("generic", 101))
            case "inquiry":
                act = authorize(
                    1, hold_minor=0, inquires=True, tally=tally_of("generic", 100, "inquiries")
                )
                again = replace(act, attempt="t2", tally=tally_of("generic", 101, "inquiries"))
            case _:
                one = Act("more", "m1", 1_790_000_060, 50, "840", 50, "90:m1")
                act = applied(
                    one, kind="increment", currency="840", tally=T,
                    references=(("de90", "90:x9"),),
                    decision=Decision("approved", 0, 1, 1, 0, ()),
                )  # fmt: skip
                again = replace(act, attempt="t2", tally=day_after)
        say = state.apply if isinstance(act, Apply) else state.authorize
        first = await say(act, 5)
        assert first.kind in ("held", "told")
        assert await seen(state) != before
        # The day ends; a repeat is given the answer, and neither hears it in time.
        assert (await say(again, 5)).replayed
        assert await seen(state, 101) == {}
        assert await state.withdraw(withdraw(1), 5) == "kept"
        assert await state.withdraw(withdraw(1, attempt="t2"), 5) in ("released", "forgotten")
        assert (await seen(state), await seen(state, 101)) == (before, {})

    play(fresh_redis, story)


def test_an_increment_that_was_withdrawn_is_counted_when_it_is_asked_again(
    fresh_redis: str,
) -> None:
    async def story(state: Any, client: Any) -> None:
        await state.authorize(authorize(9, tally=T, references=("90:x9",)), 5)
        one = Act("more", "m1", 1_790_000_060, 50, "840", 50, "90:m1")
        more = applied(
            one, kind="increment", currency="840", tally=T, references=(("de90", "90:x9"),),
            decision=Decision("approved", 0, 1, 1, 0, ()),
        )  # fmt: skip
        for attempt, count in (("t1", 2), ("t2", 2)):
            assert (await state.apply(replace(more, attempt=attempt), 5)).kind == "held"
            assert await seen(state) == {"authorizations": (count, 0)}
            await state.withdraw(withdraw(1, attempt=attempt), 5)
            assert await seen(state) == {"authorizations": (1, 0)}

    play(fresh_redis, story)


def test_days_that_are_long_over_are_dropped_and_the_audit_knows(fresh_redis: str) -> None:
    async def story(state: Any, client: Any) -> None:
        for day in (100, 101, 102):
            act = authorize(day, tally=tally_of("generic", day, "authorizations"),
                            references=(f"90:x{day}",), hold_minor=10)  # fmt: skip
            await state.authorize(act, 5)
        assert await state.forget_totals(SHARD, 102, 5) == 2
        assert [await seen(state, day) for day in (100, 101, 102)] == [
            {}, {}, {"authorizations": (1, 0)}
        ]  # fmt: skip
        assert await state.forget_totals(SHARD, 102, 5) == 0

        field = keys.total_field("generic", 102, "840", "authorizations")
        rows = await total_rows(fresh_redis)
        assert rows == []
        await client.hset(keys.control(SHARD), field, "2 0")
        assert await total_rows(fresh_redis) == [
            ("total generic/102/840/authorizations", "2 0", "1 0")
        ]

    play(fresh_redis, story)


def test_many_are_looked_through_in_small_steps_and_each_old_one_goes(fresh_redis: str) -> None:
    async def story(state: Any, client: Any) -> None:
        control = keys.control(SHARD)
        gate = await client.hgetall(control)
        many = {keys.total_field("visa", d, f"{c:03}", "debits"): "1 5"
                for d in range(100, 148) for c in range(180)}  # fmt: skip
        await client.hset(control, mapping=many)
        await client.config_set("slowlog-log-slower-than", 0)
        await client.config_set("slowlog-max-len", 10_000)
        await client.slowlog_reset()
        assert await state.forget_totals(SHARD, 112, 5) == 12 * 180
        log = [row["command"] for row in await client.slowlog_get(10_000)]
        await client.config_set("slowlog-log-slower-than", 10_000)
        assert not any(line.startswith(b"HGETALL") for line in log)
        assert sum(line.startswith(b"HSCAN") for line in log) > len(many) // (4 * SCAN_STEP)
        kept = await client.hgetall(control)
        assert len(kept) == len(gate) + 1 + 36 * 180
        assert kept.items() >= gate.items()
        assert kept[b"totals_from"] == b"112"

    play(fresh_redis, story)


@pytest.mark.parametrize("field", ["entries", "d:visa", "t:visa/112/840/debits", "t:visa/x/y"])
def test_nothing_else_is_forgotten(fresh_redis: str, field: str) -> None:
    async def story(state: Any, client: Any) -> None:
        before = await client.hgetall(keys.control(SHARD))
        said = msgspec.msgpack.encode((112, ["t:visa/111/840/debits", field]))
        with pytest.raises(Refused, match="bad_args"):
            await state._call(
                ("FCALL", "authz_forget_totals", 2, keys.control(SHARD), keys.journal(SHARD),
                 state.run_id, said), 5,
            )  # fmt: skip
        assert await client.hgetall(keys.control(SHARD)) == before

    play(fresh_redis, story)


def test_no_more_currencies_are_counted_than_there_are(fresh_redis: str) -> None:
    async def story(state: Any, client: Any) -> None:
        lua = (files("authz.hot") / "totals.lua").read_text()
        table = lua.partition("CURRENCIES =")[2].partition("local NO_CURRENCY")[0]
        assert set(re.findall(r"\d{3}", table)) == KNOWN
        model = MemoryHotState()
        for number, currency in enumerate(("840", "000", "001", "999")):
            act = authorize(number, tally=T, currency=currency, hold_minor=0,
                            references=(f"90:x{number}",))  # fmt: skip
            await state.authorize(act, 5)
            model.count(T, currency, 1, 0, 1, True)
        for where in (state, model):
            for currency, count in (("840", 1), ("000", 0), ("001", 0), (NO_CURRENCY, 3)):
                totals = await where.totals("generic", 100, currency, 5)
                assert totals["authorizations"] == (count, 0)

    play(fresh_redis, story)


async def total_rows(url: str) -> list[Any]:
    """What the audit says of totals; the bodies of these acts are unreadable to it."""
    report = await audit_store(url)
    return [(d.field, d.hot, d.ledger) for d in report.differences if d.field.startswith("total ")]


@pytest.mark.parametrize("value", ["", "1", "many", "1 2 3", "1.5 2"])
@pytest.mark.parametrize("act", ["authorize", "apply", "withdraw"])
def test_an_odd_total_is_refused_before_the_first_write(
    fresh_redis: str, value: str, act: str
) -> None:
    async def story(state: Any, client: Any) -> None:
        await state.authorize(authorize(1, posts=1, tally=M), 5)
        for kind in ("debits", "debit_reversals"):
            await client.hset(
                keys.control(SHARD), keys.total_field("generic", 100, "840", kind), value
            )
        before = {key: await client.dump(key) async for key in client.scan_iter()}
        asked = {
            "authorize": lambda: state.authorize(authorize(2, posts=1, tally=M), 5),
            "apply": lambda: state.apply(reverse(1, tally=M), 5),
            "withdraw": lambda: state.withdraw(withdraw(1), 5),
        }[act]
        with pytest.raises((Refused, HotStateError)):
            await asked()
        assert {key: await client.dump(key) async for key in client.scan_iter()} == before

    play(fresh_redis, story)


def test_a_record_of_before_there_were_totals_is_withdrawn_as_ever(fresh_redis: str) -> None:
    async def story(state: Any, client: Any) -> None:
        await state.authorize(authorize(1), 5)
        field = keys.authorization_field("m1")
        packed = await client.hget(keys.account("A1"), field)
        old = msgspec.msgpack.decode(packed)[:17]
        await client.hset(keys.account("A1"), field, msgspec.msgpack.encode(old))
        assert await state.withdraw(withdraw(1), 5) == "released"
        assert await seen(state) == {}

    play(fresh_redis, story)


def test_entries_without_totals_are_as_short_as_they_were(fresh_redis: str) -> None:
    async def story(state: Any, client: Any) -> None:
        await state.authorize(authorize(1), 5)
        [*_, row] = await client.xrange(keys.journal(SHARD))
        assert read_entry_of(row).totals == []

    play(fresh_redis, story)
