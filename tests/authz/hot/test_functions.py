"""The Lua functions against their twin of plain dicts, under random histories."""

import asyncio
import contextlib
from itertools import permutations
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.hot import admin, keys
from authz.hot.acts import (
    Apply,
    Authorize,
    Close,
    Decision,
    Note,
    SettleReview,
    Stale,
    Terms,
    Withdraw,
)
from authz.hot.errors import Cold, HotStateError, Refused, TooLate
from authz.hot.memory import MemoryHotState
from authz.hot.model import NAMED_MAX
from authz.hot.record import OTHER_ACTS_MAX, Act, Touched, fold, touched_by
from authz.hot.reviews import ACCOUNT_REVIEWS_MAX, REVIEWS_MAX
from authz.replay import read_envelope
from rules.counters import ENTRIES_MAX
from rules.facts import Approved, Limit
from tests.support.hot import account_act, card_act, dump_memory, dump_redis, opened

ACCOUNT, CARD = "A1", "C1"
SENT = 1_790_000_000
REFERENCES = ("90:x1", "90:x2", "37:r1", "37:r2", "38:a1")


def authorize(n: int = 1, **changes: object) -> Authorize:
    base: dict[str, object] = {
        "account_id": ACCOUNT, "card_id": CARD, "account_version": 1, "card_version": 1,
        "lists_version": 0, "message_id": f"m{n}", "fingerprint": "f", "attempt": "t1",
        "deadline_ms": 0, "planned": "approved", "hold_minor": 1000, "asked_minor": 1000,
        "asked_currency": "840",
        "currency": "840", "credit_line_minor": 0, "limits": (), "references": (f"90:x{n}",),
        "sent_at": SENT, "expires_at": 1_790_600_000, "answer_ttl_s": 3600, "body": b"b",
    }  # fmt: skip
    return Authorize(**(base | changes))


def reverse(n: int = 1, remaining_minor: int = -1, currency: str = "", **changes: object) -> Apply:
    id = str(changes.get("message_id", f"r{n}"))
    whole = remaining_minor < 0
    one = Act("full", id, SENT + 100)
    if not whole:
        one = Act("part", id, SENT + 100, remaining_minor, currency)
    return applied(one, **({"references": (("de90", f"90:x{n}"),)} | changes))


def applied(act: Act, **changes: object) -> Apply:
    base: dict[str, object] = {
        "kind": "reversal", "account_id": ACCOUNT, "card_id": CARD, "message_id": act.message_id,
        "fingerprint": "f", "attempt": "t1", "deadline_ms": 0, "act": act, "references": (),
        "answer_ttl_s": 3600, "body": b"b",
    }  # fmt: skip
    return Apply(**(base | changes))


def withdraw(n: int = 1, **changes: object) -> Withdraw:
    base: dict[str, object] = {
        "account_id": ACCOUNT, "shard_of": ACCOUNT, "message_id": f"m{n}", "attempt": "t1",
        "answer_ttl_s": 3600,
    }  # fmt: skip
    return Withdraw(**(base | changes))


limits = st.lists(
    st.sampled_from(
        [
            Limit("daily_count_limit", "S/day_count/20261121", 1, 3, 0),
            Limit("daily_amount_limit", "S/day_amount/20261121", 0, 2500, 1),
            Limit("daily_amount_limit", "S/day_amount/20261122", 0, 900, 1),
            Limit("count_limit", "S/a/count/600s|7", 1, 2, 0, 1_990_000_080, 6, 10),
            Limit("amount_limit", "S/a/amount/600s|8", 0, 1700, 1, 1_990_000_090, 7, 10),
            Limit("merchants_limit", "S/b/merchants/ever|0|M1", 1, 1, 0, 0),
            Limit("merchants_limit", "S/b/merchants/ever|0|M2", 1, 1, 0, 0),
            Limit("decline_limit", "S/c/declines/ever", 1, 2, 2),
            Limit("referred", "S/exception/x/count/ever", 1, 1, 0),
        ]
    ),
    max_size=3,
    unique_by=lambda limit: limit.counter,
)
references = st.lists(st.sampled_from(REFERENCES), max_size=3, unique=True).map(tuple)
attempts = st.sampled_from(["t1", "t2", "t3"])


@st.composite
def an_authorize(draw: st.DrawFn) -> Authorize:
    amount = draw(st.sampled_from([0, 1, 700, 1000, 4000, 9999]))
    rows = [msgspec.structs.replace(r, use=r.use or amount) for r in draw(limits)]
    return authorize(
        draw(st.integers(1, 5)),
        fingerprint=draw(st.sampled_from(["f", "f", "f", "g"])),
        attempt=draw(attempts),
        planned=draw(st.sampled_from(["approved", "approved", "card_frozen", "referred"])),
        review=draw(st.sampled_from(["", "referred", "referred"])),
        hold_minor=amount,
        asked_minor=draw(st.sampled_from([amount, amount, amount * 3, amount * 7 // 3])),
        asked_currency=draw(st.sampled_from(["840", "978"])),
        limits=tuple(rows),
        references=draw(references),
        account_version=draw(st.sampled_from([1, 1, 1, 2])),
        deadline_ms=draw(st.sampled_from([0, 0, 0, 1])),
        credit_line_minor=draw(st.sampled_from([0, 0, 500])),
    )


@st.composite
def a_reverse(draw: st.DrawFn) -> Apply:
    return reverse(
        draw(st.integers(1, 4)),
        attempt=draw(attempts),
        fingerprint=draw(st.sampled_from(["f", "f", "g"])),
        remaining_minor=draw(st.sampled_from([-1, -1, 1, 333, 500, 1000, 5000])),
        currency=draw(st.sampled_from(["", "840", "978", "392"])),
        references=tuple((name[:2], name) for name in draw(references)),
    )


@st.composite
def a_withdraw(draw: st.DrawFn) -> Withdraw:
    return withdraw(draw(st.integers(1, 5)), attempt=draw(attempts))


@st.composite
def a_note(draw: st.DrawFn) -> Note:
    return Note(
        shard_of="key", message_id=f"n{draw(st.integers(1, 2))}", attempt=draw(attempts),
        fingerprint=draw(st.sampled_from(["f", "g"])), deadline_ms=0, verdict="declined",
        planned="card_unknown", answer_ttl_s=60, body=b"b",
    )  # fmt: skip


def settle(n: int = 1, verdict: str = "declined", **changes: object) -> SettleReview:
    base: dict[str, object] = {
        "message_id": f"m{n}", "account_id": ACCOUNT, "verdict": verdict, "body": b"b",
    }  # fmt: skip
    if verdict == "approved":
        base |= {"card_id": CARD, "made_from": 1, "profile": b"c2", "card_body": b"b"}
    return SettleReview(**(base | changes))


@st.composite
def a_settlement(draw: st.DrawFn) -> SettleReview:
    return settle(
        draw(st.integers(1, 5)),
        draw(st.sampled_from(["approved", "declined", "ended"])),
        made_from=draw(st.sampled_from([1, 1, 2, 3])),
        waited_s=draw(st.sampled_from([0, 0, 10**6])),
    )


acts = st.one_of(
    an_authorize(), an_authorize(), a_reverse(), a_withdraw(), a_note(), a_settlement(),
    st.builds(account_act, st.just(ACCOUNT), st.just(5000), st.sampled_from([b"p1", b"p2"])),
    st.tuples(st.just("forget"), st.sampled_from(["m1", "m2", "r1", "r2"])),
    st.tuples(st.just("again"), st.integers(0, 50)),
    st.tuples(st.just("again"), st.integers(0, 50)),
)  # fmt: skip

NAME = {"Authorize": "authorize", "Apply": "apply", "Close": "close", "Withdraw": "withdraw",
        "Note": "note", "PutAccount": "put_account", "SettleReview": "settle_review"}  # fmt: skip


async def answer(state: object, act: object) -> object:
    try:
        return await getattr(state, NAME[type(act).__name__])(act, 5.0)
    except HotStateError as trouble:
        return type(trouble)


@given(st.lists(acts, max_size=25))
def test_the_functions_mean_what_the_model_says(fresh_redis: str, history: list[object]) -> None:
    async def scenario() -> None:
        real, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        await client.flushall()
        await admin.open_gates(client, new=True, source="test")
        model = MemoryHotState(now_ms=1_790_000_000_000)
        for state in (real, model):
            await state.put_account(account_act(ACCOUNT, 5000))
            await state.put_card(card_act(CARD, ACCOUNT))
        said: list[object] = []
        for act in history:
            if isinstance(act, tuple) and act[0] == "again":
                # What was said before, once more, perhaps as another attempt: a true repeat.
                if not said:
                    continue
                act = said[act[1] % len(said)]
                if hasattr(act, "attempt"):
                    act = msgspec.structs.replace(act, attempt=f"t{len(said) % 20}")
            if isinstance(act, tuple):
                model.forget(act[1])
                await client.delete(keys.answer(keys.shard_of(ACCOUNT), act[1]))
                continue
            said.append(act)
            assert await answer(real, act) == await answer(model, act), act
            assert await dump_redis(client, ACCOUNT) == dump_memory(model, ACCOUNT), act
        account = model.accounts[ACCOUNT]
        assert account.held["840"] == sum(r.holds * r.sign for r in account.records.values())
        assert all((r.holds, r.posted) == fold(r) for r in account.records.values())
        shard = keys.shard_of(ACCOUNT)
        told = [kind for kind, *_ in model.journal if kind != "note"]
        entries = await client.xlen(keys.journal(shard))
        control = 1 + int(await client.hget(keys.account(ACCOUNT), "version")) + 1
        assert entries == len(told) + control + (
            len(model.journal) - len(told) if keys.shard_of("key") == shard else 0
        )
        await client.aclose()
        real._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(scenario())


CLOSINGS = ("expired", "released")


TOUCHED = (Touched("S/day_count/20261121", 0), Touched("S/other", 1))
LATER = [500, 86_400, 200_000]  # when some of what was counted before has ended
BUCKET = SENT // 10
ENDS = (SENT // 86_400 + 1) * 86_400
FAR = 23_000 * 86_400  # days after 1970 from now


def some_windows(rng: Random, amount: int) -> list[Limit]:
    """Limits of every other kind: in buckets, of different ones, of declines, and of old."""
    at = BUCKET + rng.choice([0, 0, 1, 2, 6])
    soon = (at + 1) * 10 + 600, at - rng.choice([0, 1, 6]), 10
    rolls = (at + 1) * 10 + FAR, at - rng.choice([0, 1, 6]), 10
    past = (at + 1) * 10 + 100, at - 6, 10
    shop, land = rng.choice(["|M1", "|M2", "|%"]), rng.choice(["|US", "|FR", "|DE"])
    rows = [
        Limit("count_limit", f"S/often/count/600s|{at}", 1, 3, 0, *rolls),
        Limit("amount_limit", f"@A1/much/amount/600s|{at}", amount, 3000, 1, *soon),
        Limit("count_limit", f"S/each/count/600s:M1|{at}", 1, 2, 0, *rolls),
        Limit("merchants_limit", f"S/shops/merchants/20261121|0{shop}", 1, 2, 0, FAR),
        Limit("countries_limit", f"S/lands/countries/600s|{at}{land}", 1, 2, 0, *rolls),
        Limit("decline_limit", "S/no/declines/20261121", 1, 3, 2, FAR),
        Limit("decline_limit", f"S/not so often/declines/600s|{at}", 1, 2, 2, *soon),
        Limit("count_limit", "S/soon/count/20261121", 1, 2, 0, ENDS),
        Limit("merchants_limit", f"S/soon/merchants/20261121|0{shop}", 1, 2, 0, ENDS),
        Limit("count_limit", f"S/once rolling/count/600s|{at}", 1, 2, 0, *past),
    ]
    return rng.sample(rows, rng.randint(0, 4))


def a_dense_history(rng: Random, length: int) -> list[object]:
    """Few messages, references and attempts, so that nearly every act meets another.

    Hypothesis prefers short and plain histories; these are the crowded ones.
    """
    acts: list[object] = []
    for _ in range(length):
        n = rng.randint(1, 3)
        named = tuple(rng.sample(REFERENCES, rng.choice([1, 2, 2, 3])))
        attempt = rng.choice(["t1", "t2"])
        amount = rng.choice([0, 1, 2, 3, 700, 2400, 2500])
        kind = rng.choice("aaaarrrrccccddiiiwwwxxffvv")
        sign = rng.choice([1, 1, 1, -1])
        if kind == "a":
            rows = (
                Limit("daily_count_limit", "S/day_count/20261121", 1, 2, 0),
                Limit("daily_amount_limit", "S/day_amount/20261121", amount, 3100, 1),
                *some_windows(rng, amount),
            )
            if rng.random() < 0.3:
                rows = (Limit("referred", "S/exception/x/count/ever", 1, 1, 0), *rows)
            wanted = amount and amount + rng.choice([0, 0, 0, 1, 500])
            act: object = authorize(
                n, attempt=attempt, hold_minor=wanted, billed_minor=amount, references=named,
                exact=rng.choice([1, 1, len(named)]), inquires=amount == 0 and rng.random() < 0.4,
                part_reference=rng.choice(["", "", "38:part"]),
                asked_minor=rng.choice([amount, amount * 2, amount * 3, amount * 7 // 3]),
                asked_currency=rng.choice(["840", "978"]), limits=rng.choice([(), rows]),
                planned=rng.choice(["approved", "approved", "approved", "card_frozen", "referred"]),
                review=rng.choice(["", "referred"]),
                credit_line_minor=rng.choice([0, 0, 600]), sign=sign,
                posts=rng.choice([0, 0, 0, 1, 2 if sign == -1 else 0]),
                sent_at=SENT + rng.choice([0, 0, 60, 120] + LATER * (rng.random() < 0.2)),
            )  # fmt: skip
        elif kind == "r":
            act = reverse(
                rng.randint(1, 4), rng.choice([-1, 1, 3, 5, 350, 1400, 4900]),
                rng.choice(["", "", "840", "978", "392"]), attempt=attempt,
                references=tuple((name[:2], name) for name in named),
            )  # fmt: skip
            target = rng.choice(["", "", "90:x1", "90:x2"])
            act = msgspec.structs.replace(act, act=msgspec.structs.replace(act.act, names=target))
        elif kind in "cd":
            one = Act(
                "set" if kind == "d" else rng.choice(["post", "post", "last"]),
                f"{kind}{rng.randint(1, 4)}", SENT + rng.randint(50, 150),
                amount * rng.randint(1, 2), rng.choice(["840", "978"]), amount,
                rng.choice(["", "90:x1", "90:x2"]),
            )  # fmt: skip
            act = applied(
                one, kind="advice" if kind == "d" else "completion", attempt=attempt,
                references=tuple((name[:2], name) for name in named), sign=sign,
                exact=rng.choice([0, 0, 1]), terms=rng.choice([None, Terms(20, 2, 60)]),
                currency=rng.choice(["840", "840", "840", "978"]),
                expires_at=rng.choice([1_790_600_000, 1_990_700_000]),  # past, and far ahead
                touched=rng.choice([(), TOUCHED]),
            )  # fmt: skip
        elif kind == "i":
            one = Act(
                "more", f"m{rng.randint(4, 5)}", SENT + rng.randint(50, 150), amount * 2,
                rng.choice(["840", "978"]), amount, rng.choice(["", "90:x1", "90:x2"]),
            )  # fmt: skip
            rows = (
                Limit("referred", "S/day_amount/20261121", amount, 3100, 1),
                *some_windows(rng, amount),
            )
            act = applied(
                one, kind="authorization", attempt=attempt, currency="840",
                references=tuple((name[:2], name) for name in named), expires_at=1_990_700_000,
                touched=touched_by(rows), review=rng.choice(["", "referred"]),
                decision=Decision(
                    rng.choice(["approved", "approved", "referred"]), rng.choice([0, 600]),
                    rng.choice([1, 1, 1, 2]), 1, 0, rng.choice([(), rows]),
                ),
            )  # fmt: skip
        elif kind == "x":
            act = Close(
                act_id=f"x{rng.randint(1, 4)}", account_id="", kind=rng.choice(CLOSINGS),
                at=SENT + 160,
                authorization_id=rng.choice(["m1", "m2", "m3", "d1", "d2"]), body=b"b",
            )  # fmt: skip
        elif kind == "v":
            # No approval: a card that has moved would stop what comes behind.
            act = settle(rng.randint(1, 5), rng.choice(["declined", "ended"]))
        elif kind == "w":
            act = withdraw(rng.randint(1, 5), attempt=attempt)
        else:
            act = ("forget", rng.choice([f"m{n}", f"r{rng.randint(1, 4)}", "c1", "d1"]))
        acts.append(act)
    return acts


def on_account(act: object, id: str, card: str) -> object:
    """The act as it is on that account: its ids are its own."""
    if isinstance(act, Close):
        changes = {"act_id": f"{id}{act.act_id}", "authorization_id": f"{id}{act.authorization_id}"}
    else:
        changes = {"message_id": f"{id}{act.message_id}"}  # type: ignore[attr-defined]
    if isinstance(act, Withdraw):
        changes["shard_of"] = id
    elif not isinstance(act, Close | SettleReview):
        changes["card_id"] = card
    if isinstance(act, Apply):
        one = msgspec.structs.replace(act.act, message_id=changes["message_id"])
        act = msgspec.structs.replace(act, act=one)
    return msgspec.structs.replace(act, account_id=id, **changes)  # type: ignore[type-var]


@pytest.mark.parametrize("seed", range(6))
def test_the_functions_mean_what_the_model_says_in_a_crowd(fresh_redis: str, seed: int) -> None:
    async def scenario() -> None:
        rng = Random(seed)
        real, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        model = MemoryHotState(now_ms=(await client.time())[0] * 1000)
        for number in range(100):
            id, card = f"A{number}", f"C{number}"
            for state in (real, model):
                await state.put_account(account_act(id, 5000))
                await state.put_card(card_act(card, id))
            for act in a_dense_history(rng, 40):
                if isinstance(act, tuple):
                    mine = f"{id}{act[1]}"
                    model.forget(mine)
                    await client.delete(keys.answer(keys.shard_of(id), mine))
                    continue
                act = on_account(act, id, card)
                assert await answer(real, act) == await answer(model, act), act
            assert await dump_redis(client, id) == dump_memory(model, id), number
            account = model.accounts[id]
            for currency, held in account.held.items():
                mine = [r for r in account.records.values() if r.currency == currency]
                assert held == sum(r.holds * r.sign for r in mine)
                opening = 5000 if currency == "840" else 0
                assert account.posted[currency] == opening - sum(r.posted * r.sign for r in mine)
            assert all((r.holds, r.posted) == fold(r) for r in account.records.values())
        await client.aclose()
        real._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(scenario())


def run(url: str, scenario: object) -> None:
    """One scenario against a fresh store with account A1 (50.00) and card C1."""

    async def whole() -> None:
        state, client = await opened(url), admin.administrator(url)
        await state.put_account(account_act(ACCOUNT, 5000))
        await state.put_card(card_act(CARD, ACCOUNT))
        connection = state._connection
        try:
            await scenario(state, client)  # type: ignore[operator]
        finally:
            assert connection is not None
            connection.close()
            await client.aclose()
            await asyncio.sleep(0)

    asyncio.run(whole())


LIMITS = (
    Limit("daily_count_limit", "S/day_count/20261121", 1, 3, 0),
    Limit("daily_amount_limit", "S/day_amount/20261121", 1000, 2500, 1),
)
EVERY_KEY = ("control", "account", "expiry", "journal", "answer", "reviews")


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (act, name)
        for act in ("authorize", "apply", "withdraw", "settle_review")
        for name in EVERY_KEY
        if (act, name)
        not in {("settle_review", "expiry"), ("settle_review", "answer"), ("apply", "reviews")}
    ],
)
def test_a_key_of_the_wrong_type_changes_nothing(fresh_redis: str, name: str, act: str) -> None:
    """Functions do not roll back: a command that failed after a write would leave half an act."""

    async def scenario(state: object, client: object) -> None:
        acts = {
            "authorize": authorize(2, limits=LIMITS, review="referred"),
            "apply": reverse(1),
            "withdraw": withdraw(1),
            "settle_review": settle(3, "approved"),
        }
        await state.authorize(authorize(1, limits=LIMITS), 5)  # type: ignore[attr-defined]
        opens = authorize(3, planned="referred", review="referred")
        assert (await state.authorize(opens, 5)).review == "opened"  # type: ignore[attr-defined]
        shard = keys.shard_of(ACCOUNT)
        answer = keys.answer(shard, acts[act].message_id)
        every = (*keys.account_keys(ACCOUNT), answer, keys.reviews(shard))
        victim = every[EVERY_KEY.index(name)]
        await client.delete(victim)  # type: ignore[attr-defined]
        if name == "answer":
            await client.hset(victim, "wrong", "type")  # type: ignore[attr-defined]
        else:
            await client.set(victim, "wrong type")  # type: ignore[attr-defined]
        before = await everything(client)
        with pytest.raises(Refused, match="WRONGTYPE"):
            await getattr(state, act)(acts[act], 5)
        assert await everything(client) == before

    run(fresh_redis, scenario)


FIELDS = {
    "held:840": "held", "posted:840": "1.5", "u:S/day_count/20261121": "many",
    "a:m1": "no record", "c:C1": "", "version": "new",
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("act", ["authorize", "apply", "withdraw"])
def test_a_field_that_no_function_has_written_changes_nothing(
    fresh_redis: str, field: str, act: str
) -> None:
    async def scenario(state: object, client: object) -> None:
        acts = {
            "authorize": authorize(2, limits=LIMITS, references=("90:x1",)),
            "apply": reverse(1),
            "withdraw": withdraw(1),
        }
        await state.authorize(authorize(1, limits=LIMITS), 5)  # type: ignore[attr-defined]
        await client.hset(keys.account(ACCOUNT), field, FIELDS[field])  # type: ignore[attr-defined]
        before = await everything(client)
        try:
            await getattr(state, act)(acts[act], 5)
        except (Refused, HotStateError):
            assert await everything(client) == before
        else:
            # What the act does not look at may be as it likes.
            assert field not in {"held:840", "a:m1"} or (act, field) == ("withdraw", "x")

    run(fresh_redis, scenario)


def test_cases_are_bounded_and_what_finds_no_room_is_counted(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        shard = keys.shard_of(ACCOUNT)
        there = {f"A9 m{n}": n for n in range(REVIEWS_MAX - 1)}
        await client.zadd(keys.reviews(shard), there)  # type: ignore[attr-defined]
        for n, said in ((1, "opened"), (2, "full"), (2, ""), (3, "full")):
            act = authorize(n, planned="referred", review="referred", references=())
            verdict = await state.authorize(act, 5)  # type: ignore[attr-defined]
            assert (verdict.kind, verdict.review) == ("declined", said)
        counts = await state.review_counts(5)  # type: ignore[attr-defined]
        assert (counts.waiting, counts.opened, counts.full) == (REVIEWS_MAX, 1, 2)
        assert await state.due_reviews(shard, 10**10, 1, 5) == [("A9", "m0")]  # type: ignore[attr-defined]
        assert await state.settle_review(settle(1, "approved"), 5) == "approved"  # type: ignore[attr-defined]
        assert await state.settle_review(settle(1), 5) == "gone"  # type: ignore[attr-defined]
        act = authorize(4, planned="referred", review="referred", card_version=2)
        assert (await state.authorize(act, 5)).review == "opened"  # type: ignore[attr-defined]

    run(fresh_redis, scenario)


def test_one_account_does_not_fill_its_shard(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        def refer(n: int) -> Authorize:
            return authorize(n, planned="referred", review="referred", references=())

        model = MemoryHotState()
        await model.put_account(account_act(ACCOUNT, 5000))
        await model.put_card(card_act(CARD, ACCOUNT))
        for one in (state, model):
            for n in range(1, ACCOUNT_REVIEWS_MAX + 1):
                assert (await one.authorize(refer(n), 5)).review == "opened"  # type: ignore[attr-defined]
            assert (await one.authorize(refer(99), 5)).review == "full"  # type: ignore[attr-defined]
            assert await one.settle_review(settle(1), 5) == "declined"  # type: ignore[attr-defined]
            assert await one.withdraw(withdraw(2), 5) == "forgotten"  # type: ignore[attr-defined]
            said = [(await one.authorize(refer(n), 5)).review for n in (100, 101, 102)]  # type: ignore[attr-defined]
            assert said == ["opened", "opened", "full"]

    run(fresh_redis, scenario)


def test_a_profile_made_from_another_version_is_not_put(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        model = MemoryHotState()
        await model.put_account(account_act(ACCOUNT, 5000))
        await model.put_card(card_act(CARD, ACCOUNT))
        for one in (state, model):
            for profile, made_from, said in (
                (b"c2", 2, "other"), (b"c2", 0, "other"), (b"c2", 1, "moved"), (b"c2", 2, "same"),
                (b"c3", 1, "other"), (b"c4", -1, "moved"),
            ):  # fmt: skip
                act = msgspec.structs.replace(card_act(CARD, ACCOUNT, profile), made_from=made_from)
                assert (await one.put_card(act)).verdict == said  # type: ignore[attr-defined]

    run(fresh_redis, scenario)


async def everything(client: object) -> dict[bytes, bytes]:
    """Every key of the store with its content, as the server would dump it."""
    found = sorted([key async for key in client.scan_iter()])  # type: ignore[attr-defined]
    return {key: await client.dump(key) for key in found}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "position"),
    [(1.5, 10), (2**53, 10), (2**63, 12), (-5, 10), (0, 14), ("x", 12), (None, 13), ([], 7)],
)
def test_a_bad_argument_changes_nothing(fresh_redis: str, change: object, position: int) -> None:
    """The three probes of the style guide, and more: a late command would have failed on these."""

    async def scenario(state: object, client: object) -> None:
        act = authorize(limits=LIMITS)
        raw = Spy()
        state._connection, real = raw, state._connection  # type: ignore[attr-defined]
        with pytest.raises(ZeroDivisionError):
            await state.authorize(act, 5)  # type: ignore[attr-defined]
        arguments = list(raw.arguments)
        said = msgspec.msgpack.decode(arguments[9])
        said[position] = change
        arguments[9] = msgspec.msgpack.encode(said)
        before = await everything(client)
        with pytest.raises(Refused):
            await real.call(tuple(arguments), 5)
        assert await everything(client) == before

    run(fresh_redis, scenario)


class Spy:
    """Takes a call's arguments instead of sending them."""

    def call(self, arguments: tuple[object, ...], timeout_s: float) -> object:
        self.arguments = arguments
        raise ZeroDivisionError


def test_an_approval_is_remembered_as_long_as_its_record(fresh_redis: str) -> None:
    """Whatever became of its answer's string: the repeat is answered as the first, or is another
    request, and an attempt that nobody was answered is still taken back."""

    async def scenario(state: object, client: object) -> None:
        await state.authorize(authorize(1), 5)  # type: ignore[attr-defined]
        await client.delete(keys.answer(keys.shard_of(ACCOUNT), "m1"))  # type: ignore[attr-defined]
        again = await state.authorize(authorize(1, attempt="t2"), 5)  # type: ignore[attr-defined]
        assert (again.kind, again.replayed) == ("held", True)
        other = await state.authorize(authorize(1, fingerprint="g"), 5)  # type: ignore[attr-defined]
        assert other.kind == "mismatch"
        assert (await dump_redis(client, ACCOUNT))["balance"]["held:840"] == 1000
        assert await state.withdraw(withdraw(1), 5) == "kept"  # type: ignore[attr-defined]
        await client.delete(keys.answer(keys.shard_of(ACCOUNT), "m1"))  # type: ignore[attr-defined]
        assert await state.withdraw(withdraw(1, attempt="t2"), 5) == "released"  # type: ignore[attr-defined]
        assert (await dump_redis(client, ACCOUNT))["balance"]["held:840"] == 0

    run(fresh_redis, scenario)


def authorization_between(reversals: list[Apply], at: int, act: Authorize) -> list[object]:
    return [*reversals[:at], act, *reversals[at:]]


EARLY = [
    reverse(1, remaining_minor=700, references=(("de90", "90:x1"),)),
    reverse(2, remaining_minor=600, references=(("de37", "37:r1"),)),
    reverse(3, remaining_minor=500, currency="840", references=(("de38", "38:a1"),)),
    reverse(4, remaining_minor=1, currency="392", references=(("de38", "38:a1"),)),
]


@pytest.mark.parametrize("at", range(len(EARLY) + 1))
@pytest.mark.parametrize("order", [EARLY, EARLY[::-1]])
def test_reversals_under_references_of_every_kind_are_one_fold_in_any_order(
    fresh_redis: str, order: list[Apply], at: int
) -> None:
    """Each stands under another rung, so each early one is a tombstone of its own."""

    async def scenario(state: object, client: object) -> None:
        act = authorize(
            1, asked_minor=2000, asked_currency="978", references=("90:x1", "37:r1", "38:a1")
        )
        for one in authorization_between(list(order), at, act):
            verb = state.authorize if isinstance(one, Authorize) else state.apply  # type: ignore[attr-defined]
            await verb(one, 5)
        after = await dump_redis(client, ACCOUNT)
        assert list(after["records"]) == ["m1"]  # nothing is left waiting
        # 700 and 600 of 2,000 euros are 350 and 300 of 1,000 dollars; 500 dollars are 500;
        # yen say nothing here.
        assert after["records"]["m1"].holds == after["balance"]["held:840"] == 300
        assert set(after["references"].values()) == {"m1"}

    run(fresh_redis, scenario)


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_a_retry_under_the_same_reference_and_what_takes_it_back(
    fresh_redis: str, order: tuple[int, ...]
) -> None:
    """A first try, its reversal, a second try under the same DE 37, and its reversal: both by
    DE 37 alone. Each means the latest try that was sent before it."""
    tries = [authorize(1, references=("90:x1", "37:r1"), sent_at=SENT)]
    tries.append(authorize(2, references=("90:x2", "37:r1"), sent_at=SENT + 20))
    back = [
        applied(Act("full", f"r{n}", SENT + at), references=(("de37", "37:r1"),))
        for n, at in ((1, 10), (2, 30))
    ]
    acts = [tries[0], back[0], tries[1], back[1]]
    if order.index(3) < order.index(2):
        return  # it overtook the try that it means, and means the one before: docs/matching.md

    async def scenario(state: object, client: object) -> None:
        for number in order:
            verb = state.authorize if number in (0, 2) else state.apply  # type: ignore[attr-defined]
            await verb(acts[number], 5)
        dump = await dump_redis(client, ACCOUNT)
        assert dump["balance"]["held:840"] == 0

    run(fresh_redis, scenario)


def test_a_record_keeps_a_bounded_number_of_acts_and_always_the_full_one(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        await state.authorize(authorize(1), 5)  # type: ignore[attr-defined]
        said = [
            (await state.apply(reverse(n, references=(("de90", "90:x1"),), remaining_minor=900), 5))  # type: ignore[attr-defined]
            for n in range(1, OTHER_ACTS_MAX + 3)
        ]
        assert [v.kind for v in said] == ["reversed"] * OTHER_ACTS_MAX + ["unapplied"] * 2
        last = await state.apply(reverse(999, references=(("de90", "90:x1"),)), 5)  # type: ignore[attr-defined]
        assert (last.kind, last.held_minor) == ("reversed", 900)
        [record] = (await dump_redis(client, ACCOUNT))["records"].values()
        assert [act.message_id for act in record.acts] == [
            *(f"r{n}" for n in range(1, OTHER_ACTS_MAX + 1)), "r999",
        ]  # fmt: skip

    run(fresh_redis, scenario)


def test_out_of_memory_is_refused_before_the_first_write(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        before = await everything(client)
        await client.config_set("maxmemory", 1)  # type: ignore[attr-defined]
        try:
            with pytest.raises(Refused, match="OOM"):
                await state.authorize(authorize(1), 5)  # type: ignore[attr-defined]
        finally:
            await client.config_set("maxmemory", 0)  # type: ignore[attr-defined]
        assert await everything(client) == before

    run(fresh_redis, scenario)


def test_a_full_journal_closes_the_door(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        await client.hset(keys.account_keys(ACCOUNT)[0], "cap", 3)  # type: ignore[attr-defined]
        with pytest.raises(HotStateError, match="full"):
            await state.authorize(authorize(1), 5)  # type: ignore[attr-defined]

    run(fresh_redis, scenario)


@pytest.mark.parametrize(
    ("hold", "asked", "remaining", "left"),
    [
        (2, 4, 1, 0), (2, 4, 3, 2), (6, 4, 1, 2), (5, 10, 3, 2), (5, 10, 1, 0), (1000, 3000, 1, 0),
        (1000, 3000, 2, 1), (2**52, 2**52 + 1, 2**52, 2**52 - 1), (3 * 2**50, 2**51, 1, 2),
    ],
)  # fmt: skip
def test_a_part_is_scaled_half_to_even_and_exactly(
    fresh_redis: str, hold: int, asked: int, remaining: int, left: int
) -> None:
    async def scenario(state: object, client: object) -> None:
        await state.authorize(  # type: ignore[attr-defined]
            authorize(1, hold_minor=hold, asked_minor=asked, credit_line_minor=2**52), 5
        )
        await state.apply(reverse(1, remaining_minor=remaining), 5)  # type: ignore[attr-defined]
        assert (await dump_redis(client, ACCOUNT))["balance"]["held:840"] == left

    run(fresh_redis, scenario)


def on_both(url: str, said: list[object]) -> tuple[list[object], dict[str, object]]:
    """What the functions and their twin answer, one like the other; and what is there then."""
    answers: list[object] = []
    there: dict[str, object] = {}

    async def scenario(state: object, client: object) -> None:
        model = MemoryHotState(now_ms=1)
        await model.put_account(account_act(ACCOUNT, 5000))
        await model.put_card(card_act(CARD, ACCOUNT))
        for act in said:
            answers.append(await answer(state, act))
            assert answers[-1] == await answer(model, act), act
            there.update(await dump_redis(client, ACCOUNT))
            assert there == dump_memory(model, ACCOUNT), act

    run(url, scenario)
    return answers, there


@pytest.mark.parametrize("asked", [7000, 7001, 9000, 20_000])
def test_a_part_is_told_a_unit_less_rather_than_one_more(fresh_redis: str, asked: int) -> None:
    act = authorize(1, hold_minor=7001, asked_minor=asked, part_reference="38:part")
    (first, again), _ = on_both(fresh_redis, [act, act])
    assert first.approved == Approved(5000, 5000 * asked // 7001)  # type: ignore[attr-defined]
    assert again.approved == first.approved  # type: ignore[attr-defined]


def increment(n: int, amount: int, of: str = "90:x1") -> Apply:
    return applied(
        Act("more", f"m{n}", SENT + n, amount, "840", amount, f"90:x{n}"), kind="increment",
        references=(("de90", of), ("own", f"90:x{n}")), exact=1, currency="840",
        expires_at=1_990_700_000, decision=Decision("approved", 0, 1, 1, 0, ()),
    )  # fmt: skip


def test_what_was_posted_before_an_attempt_that_was_withdrawn_is_still_found_by_its_name(
    fresh_redis: str,
) -> None:
    """A completion, then its request, late: told 91 and withdrawn. The completion is taken back."""
    posted = applied(
        Act("last", "c1", SENT + 50, 700, "840", 700, "90:c1"), kind="completion", currency="840",
        references=(("de37", "37:r1"), ("own", "90:c1")), expires_at=1_990_700_000,
    )  # fmt: skip
    back = applied(
        Act("full", "r1", SENT + 60, names="90:c1"), references=(("de90", "90:c1"),), exact=1
    )
    late = authorize(1, references=("90:x1", "37:r1"))
    _, there = on_both(fresh_redis, [posted, late, withdraw(1), back])
    assert there["balance"] == {"posted:840": 5000, "held:840": 0}


def test_increments_that_were_all_withdrawn_leave_nothing_behind(fresh_redis: str) -> None:
    said = [increment(4, 100), increment(5, 200), withdraw(4), withdraw(5)]
    _, there = on_both(fresh_redis, said)
    assert (there["records"], there["references"], there["expiry"]) == ({}, {}, {})


def test_an_increment_comes_again_after_it_was_withdrawn(fresh_redis: str) -> None:
    again = msgspec.structs.replace(increment(4, 100), attempt="t2")
    _, there = on_both(fresh_redis, [authorize(1), increment(4, 100), withdraw(4), again])
    assert there["balance"]["held:840"] == 1100  # type: ignore[index]


@pytest.mark.parametrize(("wanted", "held"), [(1200, 1199), (2600, 999), (6000, 999)])
def test_room_for_a_tip_declines_nothing_with_a_part_reversed_before(
    fresh_redis: str, wanted: int, held: int
) -> None:
    """Of what was asked 999 of 1000 stay, and of the tip, where the daily amount has room."""
    rows = (Limit("daily_amount_limit", "S/day_amount/20261121", 1000, 2500, 1),)
    act = authorize(1, hold_minor=wanted, billed_minor=1000, limits=rows)
    (_, said), there = on_both(fresh_redis, [reverse(1, 999, "840"), act])
    assert (said.kind, said.held_minor) == ("held", held)  # type: ignore[attr-defined]
    assert there["used"] == {"S/day_amount/20261121": held}


def test_a_balance_beyond_what_a_double_holds_exactly_is_refused(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        line = 2**53 - 1
        most = authorize(1, hold_minor=line, asked_minor=line, credit_line_minor=line)
        assert (await state.authorize(most, 5)).kind == "held"  # type: ignore[attr-defined]
        before = await everything(client)
        with pytest.raises(Refused, match="exact"):
            await state.authorize(authorize(2, credit_line_minor=line), 5)  # type: ignore[attr-defined]
        assert await everything(client) == before

    run(fresh_redis, scenario)


def test_round_amounts_are_written_in_all_their_digits(fresh_redis: str) -> None:
    """A double of 10**15 has a shorter name, which no reader of ours would take for a number."""
    much = 10**15
    rows = (Limit("daily_amount_limit", "S/day_amount/20261121", much, 3 * much, 1),)
    changes = {"hold_minor": much, "asked_minor": much, "credit_line_minor": 3 * much}
    acts = [authorize(n, limits=rows, **changes) for n in (1, 2)]
    _, there = on_both(fresh_redis, [*acts, reverse(2)])
    assert there["balance"]["held:840"] == much  # type: ignore[index]
    assert there["used"] == {"S/day_amount/20261121": much}


@pytest.mark.parametrize(
    ("change", "place"), [(1.5, 2), (2**53, 3), (2**53, 2), (0.5, 5), ("x", 3), (None, 6), ([], 1)]
)
def test_a_bad_limit_changes_nothing(fresh_redis: str, change: object, place: int) -> None:
    async def scenario(state: object, client: object) -> None:
        raw = Spy()
        state._connection, real = raw, state._connection  # type: ignore[attr-defined]
        with pytest.raises(ZeroDivisionError):
            await state.authorize(authorize(limits=LIMITS), 5)  # type: ignore[attr-defined]
        arguments = list(raw.arguments)
        said = msgspec.msgpack.decode(arguments[9])
        said[16][0][place] = change
        arguments[9] = msgspec.msgpack.encode(said)
        before = await everything(client)
        with pytest.raises(Refused):
            await real.call(tuple(arguments), 5)
        assert await everything(client) == before

    run(fresh_redis, scenario)


def test_an_answer_of_its_own_lives_its_life_whatever_is_asked_meanwhile(fresh_redis: str) -> None:
    """Neither a repeat nor a withdrawal makes it longer or shorter."""

    async def scenario(state: object, client: object) -> None:
        act = authorize(1, planned="card_frozen", answer_ttl_s=4000)
        await state.authorize(act, 5)  # type: ignore[attr-defined]
        key = keys.answer(keys.shard_of(ACCOUNT), "m1")
        for more in (
            state.authorize(authorize(1, attempt="t2", planned="card_frozen"), 5),  # type: ignore[attr-defined]
            state.withdraw(withdraw(1, attempt="t3"), 5),  # type: ignore[attr-defined]
        ):
            await more
            assert 3990 < await client.ttl(key) <= 4000  # type: ignore[attr-defined]

    run(fresh_redis, scenario)


def test_a_reference_of_many_names_none_of_them(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        model = MemoryHotState(now_ms=1)
        await model.put_account(account_act(ACCOUNT, 5000))
        await model.put_card(card_act(CARD, ACCOUNT))
        for n in range(1, NAMED_MAX + 3):
            for hot in (state, model):
                act = authorize(n, hold_minor=1, asked_minor=1, references=("37:r1",))
                await hot.authorize(act, 5)  # type: ignore[attr-defined]
            assert await dump_redis(client, ACCOUNT) == dump_memory(model, ACCOUNT)
            named = (await dump_redis(client, ACCOUNT))["references"]["37:r1"]
            assert (named == "*") == (n > NAMED_MAX)

    run(fresh_redis, scenario)


def test_a_reversal_never_means_what_was_asked_after_it(fresh_redis: str) -> None:
    """The first try was declined and its reversal came; the second one has the same DE 37."""

    async def scenario(state: object, client: object) -> None:
        model = MemoryHotState(now_ms=1)
        await model.put_account(account_act(ACCOUNT, 5000))
        await model.put_card(card_act(CARD, ACCOUNT))
        shared = ("90:x2", "37:r1")
        for hot in (state, model):
            await hot.apply(reverse(1, references=(("de37", "37:r1"),)), 5)  # type: ignore[attr-defined]
            second = authorize(2, references=shared, sent_at=SENT + 200)
            assert (await hot.authorize(second, 5)).kind == "held"  # type: ignore[attr-defined]
            first = authorize(1, references=("90:x1", "37:r1"), sent_at=SENT)
            assert (await hot.authorize(first, 5)).kind == "reversed"  # type: ignore[attr-defined]
        assert (await dump_redis(client, ACCOUNT)) == dump_memory(model, ACCOUNT)
        assert (await dump_redis(client, ACCOUNT))["balance"]["held:840"] == 1000

    run(fresh_redis, scenario)


def test_what_an_attempt_leaves_behind_is_found_by_its_repeat_alone(fresh_redis: str) -> None:
    """The reply was lost, the reversal came by a full DE 90, and the terminal asked once more."""

    async def scenario(state: object, client: object) -> None:
        await state.authorize(authorize(1, references=("90:x1", "37:r1")), 5)  # type: ignore[attr-defined]
        await state.apply(reverse(1), 5)  # type: ignore[attr-defined]
        await state.withdraw(withdraw(1), 5)  # type: ignore[attr-defined]
        retry = authorize(2, references=("90:x2", "37:r1"), sent_at=SENT + 50)
        assert (await state.authorize(retry, 5)).kind == "held"  # type: ignore[attr-defined]
        repeat = authorize(1, references=("90:x1", "37:r1"), attempt="t2")
        assert (await state.authorize(repeat, 5)).kind == "reversed"  # type: ignore[attr-defined]

    run(fresh_redis, scenario)


@pytest.mark.parametrize("field", ["entries", "version", "held:840"])
def test_an_odd_value_is_refused_before_the_first_write(fresh_redis: str, field: str) -> None:
    async def scenario(state: object, client: object) -> None:
        await state.authorize(authorize(1), 5)  # type: ignore[attr-defined]
        await client.hset(keys.account(ACCOUNT), field, "odd")  # type: ignore[attr-defined]
        before = await everything(client)
        acts = [state.authorize(authorize(2), 5), state.apply(reverse(1), 5)]  # type: ignore[attr-defined]
        for act in [*acts, state.withdraw(withdraw(1), 5)]:  # type: ignore[attr-defined]
            with contextlib.suppress(Refused):
                await act
                assert field == "version"  # only an authorization looks at it
        if field != "version":
            assert await everything(client) == before

    run(fresh_redis, scenario)


def test_memory_that_is_full_still_lets_money_go_free(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        for n in (1, 2, 3):
            await state.authorize(authorize(n), 5)  # type: ignore[attr-defined]
        await client.config_set("maxmemory", 1)  # type: ignore[attr-defined]
        try:
            assert (await state.apply(reverse(1), 5)).kind == "reversed"  # type: ignore[attr-defined]
            assert await state.withdraw(withdraw(2), 5) == "released"  # type: ignore[attr-defined]
            close = Close(
                act_id="x", account_id=ACCOUNT, authorization_id="m3", kind="released", at=SENT,
                body=b"b",
            )  # fmt: skip
            assert await state.close(close, 5) == ("closed", 1000)  # type: ignore[attr-defined]
        finally:
            await client.config_set("maxmemory", 0)  # type: ignore[attr-defined]

    run(fresh_redis, scenario)


def test_a_missing_account_is_cold_and_not_a_no(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        await client.delete(keys.account(ACCOUNT))  # type: ignore[attr-defined]
        for act in (state.authorize(authorize(1), 5), state.apply(reverse(1), 5)):  # type: ignore[attr-defined]
            with pytest.raises(Cold):
                await act

    run(fresh_redis, scenario)


def test_another_run_of_the_store_is_cold_until_it_is_audited(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        state._run_id = "another"  # type: ignore[attr-defined]
        with pytest.raises(Cold):
            await state.authorize(authorize(1), 5)  # type: ignore[attr-defined]

    run(fresh_redis, scenario)


def test_what_comes_after_its_deadline_is_refused(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        seconds, _ = await client.time()  # type: ignore[attr-defined]
        late, early = (authorize(1, deadline_ms=(seconds + s) * 1000) for s in (-1, 60))
        with pytest.raises(TooLate):
            await state.authorize(late, 5)  # type: ignore[attr-defined]
        assert (await state.authorize(early, 5)).kind == "held"  # type: ignore[attr-defined]

    run(fresh_redis, scenario)


@pytest.mark.parametrize("repeats", [1, 14, 15, 16, 17, 40])
def test_an_answer_that_somebody_got_is_never_taken_back(fresh_redis: str, repeats: int) -> None:
    """The first attempt was answered 00; any number of later repeats timed out."""

    async def scenario(state: object, client: object) -> None:
        model = MemoryHotState(now_ms=1)
        await model.put_account(account_act(ACCOUNT, 5000))
        await model.put_card(card_act(CARD, ACCOUNT))
        for hot in (state, model):
            assert (await hot.authorize(authorize(1), 5)).kind == "held"
            for n in range(repeats):
                again = await hot.authorize(authorize(1, attempt=f"late{n}"), 5)
                assert again.replayed
            for n in range(repeats):
                assert await hot.withdraw(withdraw(1, attempt=f"late{n}"), 5) == "kept"
        assert (await dump_redis(client, ACCOUNT))["balance"]["held:840"] == 1000
        assert model.accounts[ACCOUNT].held["840"] == 1000

    run(fresh_redis, scenario)


def test_a_withdrawn_approval_whose_only_holder_was_withdrawn_is_undone(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        await state.authorize(authorize(1, limits=LIMITS), 5)
        assert await state.withdraw(withdraw(1), 5) == "released"
        dump = await dump_redis(client, ACCOUNT)
        assert dump["balance"]["held:840"] == 0
        assert (dump["records"], dump["references"], dump["used"]) == ({}, {}, {})
        assert (await state.authorize(authorize(1, attempt="t2"), 5)).kind == "held"

    run(fresh_redis, scenario)


def test_newer_blocklists_make_a_plan_stale_and_older_gates_do_not(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        await client.hset(keys.account_keys(ACCOUNT)[0], "lists", 3)
        assert isinstance(await state.authorize(authorize(1, lists_version=2), 5), Stale)
        assert (await state.authorize(authorize(1, lists_version=3), 5)).kind == "held"
        assert (await state.authorize(authorize(2, lists_version=4), 5)).kind == "held"

    run(fresh_redis, scenario)


def test_a_version_of_the_lists_comes_once(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        shard = keys.shard_of(ACCOUNT)
        gate = (keys.control(shard), keys.journal(shard))
        for version, said in ((2, b"moved"), (2, b"older"), (1, b"older"), (3, b"moved")):
            reply = await client.fcall("authz_put_lists", 2, *gate, state.run_id, version, b"b")  # type: ignore[attr-defined]
            assert reply[1] == said

    run(fresh_redis, scenario)


def test_what_is_due_is_told_the_oldest_first_and_ends_once(fresh_redis: str) -> None:
    async def scenario(state: object, client: object) -> None:
        for n, ends in ((1, SENT + 9), (2, SENT + 5), (3, SENT + 11)):
            await state.authorize(authorize(n, expires_at=ends), 5)  # type: ignore[attr-defined]
        shard = keys.shard_of(ACCOUNT)
        assert await state.due(shard, SENT + 4, 9, 5) == []  # type: ignore[attr-defined]
        due = await state.due(shard, SENT + 10, 9, 5)  # type: ignore[attr-defined]
        assert due == [(ACCOUNT, "m2"), (ACCOUNT, "m1")]
        assert await state.due(shard, SENT + 10, 1, 5) == due[:1]  # type: ignore[attr-defined]
        close = Close(
            act_id="x", account_id=ACCOUNT, authorization_id="m2", kind="expired", at=SENT + 10,
            body=b"b",
        )  # fmt: skip
        assert await state.close(close, 5) == ("closed", 1000)  # type: ignore[attr-defined]
        assert await state.close(close, 5) == ("gone", 0)  # type: ignore[attr-defined]
        assert await state.due(shard, SENT + 10, 9, 5) == due[1:]  # type: ignore[attr-defined]

    run(fresh_redis, scenario)


def in_bucket(n: int, bucket: int, item: str = "", back: int = 60, **changes: object) -> Authorize:
    counter = f"S/w/count/600s|{bucket}{item}"
    row = Limit("count_limit", counter, 1, 10**6, 0, (bucket + 1) * 10 + FAR, bucket - back, 10)
    return authorize(n, hold_minor=1, asked_minor=1, limits=(row,), **changes)


@pytest.mark.parametrize("shops", [0, 3, 95], ids=["sums", "different ones", "many of them"])
def test_the_buckets_of_a_window_are_bounded_and_the_oldest_join(
    fresh_redis: str, shops: int
) -> None:
    """Late ones rise in what older ones joined, and fall out of it; nothing is lost."""
    dice = Random(1)
    said: list[object] = []
    for n in range(1, ENTRIES_MAX + 40):
        item = f"|M{dice.randint(1, shops)}" if shops else ""
        bucket = BUCKET + n - dice.choice([0, 0, 0, 1, 30, 300])
        said.append(in_bucket(n, bucket, item, references=(f"90:x{n}",)))
        if n % 5 == 0:
            said.append(reverse(n - dice.randint(0, 4)))
    _, there = on_both(fresh_redis, said)
    used: dict[str, int] = there["used"]  # type: ignore[assignment]
    assert len(used) <= ENTRIES_MAX
    records = there["records"].values()  # type: ignore[attr-defined]
    assert sum(used.values()) == sum(record.holds > 0 for record in records)


def test_buckets_that_join_tell_of_each_counter_once(fresh_redis: str) -> None:
    """Many of them at a time, where each stands for many different ones."""

    async def scenario(state: object, client: object) -> None:
        for n in range(2 * ENTRIES_MAX):
            act = in_bucket(n, BUCKET + n // 7, f"|M{n % 95}")
            assert (await state.authorize(act, 5)).kind == "held"  # type: ignore[attr-defined]
        told = []
        for _, fields in await client.xrange(keys.journal(keys.shard_of(ACCOUNT))):  # type: ignore[attr-defined]
            names = [row[0] for row in read_envelope(fields[b"e"]).counters]
            assert len(names) == len(set(names)) <= ENTRIES_MAX + 95
            told.append(len(names))
        assert max(told) > 95

    run(fresh_redis, scenario)


def test_fields_that_have_ended_are_dropped_a_few_at_a_time(fresh_redis: str) -> None:
    """And what they followed may be taken back all the same."""

    async def scenario(state: object, client: object) -> None:
        for n in range(1, 31):
            row = Limit("count_limit", f"S/w{n}/count/20260921", 1, 9, 0, ENDS)
            await state.authorize(authorize(n, hold_minor=1, asked_minor=1, limits=(row,)), 5)  # type: ignore[attr-defined]
        left = []
        for n in range(31, 37):
            act = authorize(n, hold_minor=1, asked_minor=1, sent_at=ENDS + n)
            assert (await state.authorize(act, 5)).kind == "held"  # type: ignore[attr-defined]
            names = await client.hkeys(keys.account(ACCOUNT))  # type: ignore[attr-defined]
            left.append(sum(name[:2] == b"u:" for name in names))
        assert left == [22, 14, 6, 0, 0, 0]
        assert (await state.apply(reverse(1), 5)).kind == "reversed"  # type: ignore[attr-defined]
        assert (await dump_redis(client, ACCOUNT))["used"] == {}

    run(fresh_redis, scenario)


@pytest.mark.parametrize("odd", [b"many", b"\x80torn", b"\x93\x00\x01", b"", b"\xc1"])
@pytest.mark.parametrize("item", ["", "|M1"])
def test_an_odd_window_changes_nothing(fresh_redis: str, odd: bytes, item: str) -> None:
    async def scenario(state: object, client: object) -> None:
        field = "u:S/w/count/600s"
        await client.hset(keys.account(ACCOUNT), field, odd)  # type: ignore[attr-defined]
        before = await everything(client)
        with pytest.raises(Refused):
            await state.authorize(in_bucket(1, BUCKET, item), 5)  # type: ignore[attr-defined]
        assert await everything(client) == before

    run(fresh_redis, scenario)
