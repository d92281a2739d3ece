"""Quotas of programs' ceilings: the functions against their twin, and what each promises."""

import asyncio
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from authz.hot import admin, keys
from authz.hot.acts import Apply, Authorize, Lease, Missing, Short, Verdict
from authz.hot.errors import Cold, Refused
from authz.hot.memory import MemoryHotState
from authz.hot.quotas import OLD, SHARE, centre_of
from authz.hot.record import touched_by
from authz.quota_rows import clock, numbers
from rules.facts import Limit
from tests.authz.hot.test_functions import (
    ENDS,
    FAR,
    SENT,
    a_dense_history,
    answer,
    authorize,
    on_account,
    reverse,
    withdraw,
)
from tests.support.hot import account_act, card_act, dump_memory, dump_redis, opened

ACCOUNTS = [f"A{n}" for n in range(200) if keys.shard_of(f"A{n}") in ("03", "41")]
AMOUNT, SOON, COUNT = "%p:840/all/amount/2026", "%p:840/soon/amount/20261121", "%p/n/count/ever"


def program_limits(rng: Random, amount: int, sent_at: int) -> tuple[Limit, ...]:
    rows = [
        Limit("amount_limit", AMOUNT, amount, rng.choice([9000, 9000, 6000]), 1, FAR),
        Limit("amount_limit", SOON, amount, 5000, 1, ENDS),
        Limit("count_limit", COUNT, 1, rng.choice([9, 12]), 0),
    ]
    some = rng.sample(rows, rng.choice([1, 2, 3]))
    return tuple(row for row in some if row.counter != SOON or sent_at < ENDS)


def under_a_program(act: Any, rng: Random) -> Any:
    """The same act, under limits of a program as well, asked before or behind others."""
    if isinstance(act, Authorize) and not act.inquires and act.sign == 1 and act.hold_minor:
        mine = program_limits(rng, act.asked_billed_minor, act.sent_at)
        both = (*mine, *act.limits) if rng.random() < 0.5 else (*act.limits, *mine)
        return replace(act, limits=both, last_word=rng.random() < 0.4)
    if isinstance(act, Apply) and act.decision is not None:
        both = (*act.decision.limits, *program_limits(rng, act.act.billed, SENT))
        decision = replace(act.decision, limits=both)
        last = rng.random() < 0.4
        return replace(act, decision=decision, touched=touched_by(both), last_word=last)
    return act


def a_lease(rng: Random) -> Lease:
    counter, ceiling, ends = rng.choice(
        [(AMOUNT, 9000, FAR), (AMOUNT, 6000, FAR), (SOON, 5000, ENDS), (COUNT, 12, 0)]
    )
    least = rng.choice([1, 3, 700] if counter != COUNT else [1, 2])
    return Lease(
        counter=counter, ceiling=ceiling, ends=ends, sent_at=SENT, lists_version=0, least=least,
        wanted=least + rng.choice([0, 0, 500 * (counter != COUNT)]),
    )  # fmt: skip


async def quotas_of(client: Any, shard: str) -> dict[str, list[int]]:
    flat = await client.hgetall(keys.control(shard))
    control = {name.decode(): value.decode() for name, value in flat.items()}
    now = clock(control, "qw")
    return {k: v for k, v in numbers(control, "q:").items() if not 0 < v[3] <= now and any(v[:2])}


def in_twin(model: MemoryHotState, shard: str) -> dict[str, list[int]]:
    quotas = model.quotas_in(shard)
    return {
        counter: [q.granted, q.used, q.under, q.ends]
        for counter, q in quotas.of.items()
        if not 0 < q.ends <= quotas.clock and (q.granted or q.used)
    }


@pytest.mark.parametrize("seed", range(8))
def test_the_functions_mean_what_the_model_says(fresh_redis: str, seed: int) -> None:
    async def scenario() -> None:
        rng = Random(seed)
        real, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        model = MemoryHotState(now_ms=(await client.time())[0] * 1000)
        shards = sorted({keys.shard_of(id) for id in ACCOUNTS})
        for id in ACCOUNTS:
            for state in (real, model):
                await state.put_account(account_act(id, 5000))
                await state.put_card(card_act(f"C{id}", id))
        lives = {id: a_dense_history(rng, 60) for id in ACCOUNTS}
        heard = set()
        while lives:
            id = rng.choice(sorted(lives))
            if rng.random() < 0.25:
                act, shard = a_lease(rng), rng.choice(shards)
                some, left = await real.lease(act, 1.0)
                assert (some, left) == await model.lease(act)
                if some and rng.random() < 0.9:
                    given = await real.grant(shard, act, some, 1.0)
                    assert given == await model.grant(shard, act, some)
                if rng.random() < 0.2:
                    back = await real.give_back(shard, act, 1.0)
                    assert back == await model.give_back(shard, act)
                    act = replace(act, back=back)
                    assert await real.lease(act, 1.0) == await model.lease(act)
                continue
            step = lives[id].pop()
            if not lives[id]:
                del lives[id]
            if isinstance(step, tuple):
                model.forget(f"{id}{step[1]}")
                await client.delete(keys.answer(keys.shard_of(id), f"{id}{step[1]}"))
                continue
            step = under_a_program(on_account(step, id, f"C{id}"), rng)
            said = await answer(real, step)
            assert said == await answer(model, step), step
            heard.add("short" if isinstance(said, Short) else getattr(said, "kind", ""))
            for shard in shards:
                assert await quotas_of(client, shard) == in_twin(model, shard), step
        for id in ACCOUNTS:
            assert await dump_redis(client, id) == dump_memory(model, id), id
        assert {"short", "held", "over_limit"} <= heard
        await client.aclose()
        real._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(scenario())


def run(url: str, scenario: Any) -> None:
    async def whole() -> None:
        state, client = await opened(url), admin.administrator(url)
        await state.put_account(account_act("A1", 500_000))
        await state.put_card(card_act("C1", "A1"))
        try:
            await scenario(state, client)
        finally:
            state._connection.close()  # type: ignore[union-attr]
            await client.aclose()
            await asyncio.sleep(0)

    asyncio.run(whole())


def lease(**changes: Any) -> Lease:
    base: dict[str, Any] = {
        "counter": AMOUNT, "ceiling": 128_000, "ends": FAR, "sent_at": SENT, "lists_version": 0,
        "least": 10, "wanted": 10,
    }  # fmt: skip
    return Lease(**(base | changes))


LIMITS = (Limit("amount_limit", AMOUNT, 1000, 128_000, 1, FAR),)
HERE = keys.shard_of("A1")


def test_a_lease_is_what_is_wanted_or_a_share_of_what_is_left(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        assert await state.lease(lease(), 1.0) == (1000, 127_000)
        assert await state.lease(lease(wanted=100_000), 1.0) == (100_000, 27_000)
        assert await state.lease(lease(), 1.0) == (27_000 // SHARE, 27_000 - 27_000 // SHARE)
        assert await state.lease(lease(least=27_000, wanted=27_000), 1.0) == (0, 26_790)
        assert await state.lease(lease(least=1, wanted=27_000), 1.0) == (26_790, 0)
        assert await state.lease(lease(), 1.0) == (0, 0)
        assert await state.lease(lease(back=500), 1.0) == (10, 490)

    run(fresh_redis, scenario)


def test_short_writes_nothing_and_the_last_word_is_said(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        before = await client.hgetall(keys.account("A1")), await client.hgetall(keys.control(HERE))
        asked = authorize(1, limits=LIMITS)
        assert await state.authorize(asked, 1.0) == Short((Missing(0, 1000, 1000),))
        part = replace(asked, part_reference="38:p")
        assert await state.authorize(part, 1.0) == Short((Missing(0, 1000, 1),))
        after = await client.hgetall(keys.account("A1")), await client.hgetall(keys.control(HERE))
        assert before == after
        assert await state.grant(HERE, lease(), 600, 1.0)
        assert await state.authorize(asked, 1.0) == Short((Missing(0, 400, 400),))
        said = await state.authorize(replace(part, last_word=True), 1.0)
        assert (said.kind, said.detail, said.held_minor) == ("held", "partial", 600)
        again = replace(asked, message_id="m2", references=("90:x2",), last_word=True)
        said = await state.authorize(again, 1.0)
        assert (said.kind, said.detail) == ("over_limit", "amount_limit")
        assert await quotas_of(client, HERE) == {AMOUNT: [600, 600, 128_000, FAR]}

    run(fresh_redis, scenario)


def test_what_is_refused_anyway_asks_for_no_quota(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        own = Limit("count_limit", "C1/none/count/ever", 1, 0, 0)
        for limits, amount, kind, detail in (
            ((*LIMITS, own), 1000, "over_limit", "count_limit"),
            (LIMITS, 600_000, "no_funds", ""),
        ):
            asked = authorize(amount, limits=limits, hold_minor=amount, asked_minor=amount)
            said = await state.authorize(asked, 1.0)
            assert (said.kind, said.detail) == (kind, detail)

    run(fresh_redis, scenario)


def test_what_is_taken_back_is_room_in_its_shard(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        assert await state.grant(HERE, lease(), 1000, 1.0)
        asked = authorize(1, limits=LIMITS)
        assert (await state.authorize(asked, 1.0)).kind == "held"
        assert (await quotas_of(client, HERE))[AMOUNT][:2] == [1000, 1000]
        await state.apply(reverse(1, 400), 1.0)
        assert (await quotas_of(client, HERE))[AMOUNT][:2] == [1000, 400]
        await state.withdraw(withdraw(1), 1.0)
        assert (await quotas_of(client, HERE))[AMOUNT][:2] == [1000, 0]
        assert await state.give_back(HERE, lease(), 1.0) == 0  # one keeps its own
        assert await state.give_back("62", lease(), 1.0) == 1000
        assert await state.authorize(replace(asked, message_id="m3", references=("90:x3",)), 1.0) \
            == Short((Missing(0, 1000, 1000),))  # fmt: skip

    run(fresh_redis, scenario)


def test_room_under_a_higher_ceiling_is_none_under_a_lower_one(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        assert (await state.lease(lease(wanted=5000), 1.0))[0] == 5000
        assert await state.grant(HERE, lease(), 5000, 1.0)
        assert (await state.authorize(authorize(1, limits=LIMITS), 1.0)).kind == "held"
        lower = (replace(LIMITS[0], ceiling=3000),)
        asked = authorize(2, limits=lower)
        assert await state.authorize(asked, 1.0) == Short((Missing(0, 1000, 1000),))
        assert await state.lease(lease(ceiling=3000), 1.0) == (0, 0)
        assert await state.give_back(HERE, lease(ceiling=3000), 1.0) == 4000
        some, _ = await state.lease(lease(ceiling=3000, back=4000, wanted=1000), 1.0)
        assert some == 1000
        assert await state.grant(HERE, lease(ceiling=3000), some, 1.0)
        assert (await state.authorize(asked, 1.0)).kind == "held"
        higher = (replace(LIMITS[0], ceiling=9000),)
        assert await state.authorize(authorize(3, limits=higher), 1.0) == Short(
            (Missing(0, 1000, 1000),)
        )

    run(fresh_redis, scenario)


def test_an_older_policy_leases_and_grants_nothing(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        for shard in (HERE, centre_of(AMOUNT)):
            await client.hset(keys.control(shard), "lists", "2")
        assert await state.lease(lease(lists_version=1), 1.0) == (0, OLD)
        assert not await state.grant(HERE, lease(lists_version=1), 10, 1.0)
        assert (await state.lease(lease(lists_version=2), 1.0))[0] == 1000
        assert await state.grant(HERE, lease(lists_version=2), 10, 1.0)

    run(fresh_redis, scenario)


def test_quotas_of_windows_that_ended_are_dropped_with_the_journal_told(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        limits = (Limit("amount_limit", SOON, 1000, 128_000, 1, ENDS),)
        soon = lease(counter=SOON, ends=ENDS)
        await state.lease(soon, 1.0)
        await state.grant(HERE, soon, 1000, 1.0)
        await state.authorize(authorize(1, limits=limits), 1.0)
        assert SOON in await quotas_of(client, HERE)
        await state.grant(HERE, lease(), 9000, 1.0)
        for n in (2, 3):  # the first moves the clock, and drops
            later = authorize(n, limits=LIMITS, sent_at=ENDS + 86_400)
            assert isinstance(await state.authorize(later, 1.0), Verdict)
        control = await client.hgetall(keys.control(HERE))
        assert b"q:" + SOON.encode() not in control
        told = [
            row
            for _, entry in await client.xrange(keys.journal(HERE))
            for row in msgspec.msgpack.decode(entry[b"e"], strict=False)[14]
            if row[0] == SOON
        ]
        assert told == [[SOON, 0, 1000], [SOON, 1000, 0]]
        await state.apply(reverse(1), 1.0)  # moves no more what is over
        assert SOON not in await quotas_of(client, HERE)
        assert (await state.lease(lease(sent_at=ENDS + 86_400), 1.0))[0] == 1000
        assert (await state.lease(soon, 1.0)) == (0, 0)  # it is over in the centre too
        assert b"l:" + SOON.encode() not in await client.hgetall(keys.control(centre_of(SOON)))

    run(fresh_redis, scenario)


@pytest.mark.parametrize("odd", ["", "1", "1 2 3", "1 2 3 x", "1.5 2 3 4", "1 2 3 4 5"])
def test_an_odd_quota_changes_nothing(fresh_redis: str, odd: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await client.hset(keys.control(HERE), f"q:{AMOUNT}", odd)
        before = await client.hgetall(keys.account("A1"))
        for call in (
            state.authorize(authorize(1, limits=LIMITS), 1.0), state.grant(HERE, lease(), 1, 1.0),
        ):  # fmt: skip
            with pytest.raises(Refused):
                await call
        assert await state.give_back("62", lease(), 1.0) == 0
        assert before == await client.hgetall(keys.account("A1"))
        assert await client.hget(keys.control(HERE), f"q:{AMOUNT}") == odd.encode()

    run(fresh_redis, scenario)


def test_a_closed_gate_leases_nothing(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        for shard in (HERE, centre_of(AMOUNT)):
            await client.fcall("authz_close_gate", 1, keys.control(shard))
        for call in (state.lease(lease(), 1.0), state.grant(HERE, lease(), 1, 1.0)):
            with pytest.raises(Cold):
                await call

    run(fresh_redis, scenario)
