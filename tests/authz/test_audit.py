"""The audit: random histories pass it, and each kind of damage is told, alone and by name."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz import audit as audit_module
from authz.audit import AuditReport, audit, audit_before_opening, audit_store
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin, keys
from authz.hot.acts import Apply, Authorize, Close, Decision, SettleReview, Terms, Withdraw
from authz.hot.errors import HotStateError, TooLate
from authz.hot.record import Act, Touched
from authz.judgement import put_lists
from authz.privacy import Pan, PanKeys
from ledger.journal import (
    AdviceBody,
    AuthorizationBody,
    CloseBody,
    IncrementBody,
    ReversalBody,
    ReviewBody,
    encode_body,
)
from rules.facts import AccountProfile, AccountState, Limit
from tests.support.engine import KEYS as WORLD_KEYS
from tests.support.engine import PAN, World, advice_of, purchase
from tests.support.engine import account as whose
from tests.support.hot import opened

KEYS = PanKeys(b"k" * 32)
ACCOUNT = "A1"
SHARD = keys.shard_of(ACCOUNT)
SUBJECT = KEYS.card_id(Pan("4000000000000001"))
COUNT, AMOUNT = f"{SUBJECT}/day_count/20261121", f"{SUBJECT}/day_amount/20261121"


def account(id: str = ACCOUNT, opening: int = 5000, line: int = 0) -> NewAccount:
    profile = AccountProfile(id, "default", "840", line, "UTC", AccountState.ACTIVE)
    return NewAccount(profile=profile, opening_minor=opening)


SENT = 1_790_000_000


def told_of(n: int, amount: int, sign: int = 1, at: int = SENT) -> AuthorizationBody:
    """The facts of a message, as its body in the journal has them."""
    return AuthorizationBody(
        "default", "key", "purchase" if sign == 1 else "refund", amount, "840", amount, "840",
        "5411", "m", "t", "a", "US", "051", "", f"{n:06}", "", at, "approved", (), 0,
    )  # fmt: skip


def authorize(n: int, amount: int = 1000, **changes: Any) -> Authorize:
    limits = (
        Limit("daily_count_limit", COUNT, 1, 9, 0),
        Limit("daily_amount_limit", AMOUNT, amount, 9000, 1),
    )
    body = told_of(n, amount, changes.get("sign", 1))
    base: dict[str, Any] = {
        "account_id": ACCOUNT, "card_id": SUBJECT, "account_version": 1, "card_version": 1,
        "lists_version": 0, "message_id": f"m{n}", "fingerprint": "f", "attempt": "t1",
        "deadline_ms": 0, "planned": "approved", "hold_minor": amount, "asked_minor": amount,
        "asked_currency": "840", "currency": "840", "credit_line_minor": 0,
        "limits": limits if amount else (),
        "references": (f"90:x{n}",), "sent_at": 1_790_000_000, "expires_at": 1_790_600_000 + n,
        "answer_ttl_s": 3600, "body": encode_body(body),
    }  # fmt: skip
    return Authorize(**(base | changes))


def reverse(n: int, remaining: int = -1, references: tuple[tuple[str, str], ...] = ()) -> Apply:
    body = ReversalBody(
        "default", "0400", "key", 1000, "840", remaining, "1", "", 1_790_000_100, ()
    )
    act = Act("full", f"r{n}", 1_790_000_100)
    if remaining >= 0:
        act = Act("part", f"r{n}", 1_790_000_100, remaining, "840")
    return Apply(
        kind="reversal", account_id=ACCOUNT, card_id=SUBJECT, message_id=f"r{n}", fingerprint="f",
        attempt="t1", deadline_ms=0, act=act, references=references or (("de90", f"90:x{n}"),),
        answer_ttl_s=3600, body=encode_body(body),
    )  # fmt: skip


Rungs = tuple[tuple[str, str], ...]


def advise(
    n: int, amount: int = 1000, kind: str = "set", references: Rungs = (), **changes: Any
) -> Apply:
    """An advice, or one of several completions ("post"), or the last one."""
    id, by, at = f"{kind}{n}", references or (("de90", f"90:x{n}"),), SENT + 50 + n
    base: dict[str, Any] = {
        "kind": "advice" if kind == "set" else "completion", "account_id": ACCOUNT,
        "card_id": SUBJECT, "message_id": id, "fingerprint": "f", "attempt": "t1",
        "deadline_ms": 0, "references": (*by, ("own", f"90:{id}")), "exact": 1,
        "act": Act(kind, id, at, amount, "840", amount, f"90:{id}"),
        "terms": None if kind == "set" else Terms(10, 0, 60), "currency": "840",
        "expires_at": 1_790_600_000 + n, "touched": (Touched(COUNT, 0), Touched(AMOUNT, 1)),
        "answer_ttl_s": 3600,
        "body": encode_body(
            AdviceBody(told_of(n, amount, changes.get("sign", 1), at), kind, True, "", by)
        ),
    }  # fmt: skip
    return Apply(**(base | changes))


def increase(n: int, amount: int = 1000, of: int = 1, **changes: Any) -> Apply:
    """More is asked for on authorization `of`."""
    id, by, at = f"m{n}", (("de90", f"90:x{of}"),), SENT + 20 + n
    limits = (Limit("daily_amount_limit", AMOUNT, amount, 9000, 1),)
    base: dict[str, Any] = {
        "kind": "increment", "account_id": ACCOUNT, "card_id": SUBJECT, "message_id": id,
        "fingerprint": "f", "attempt": "t1", "deadline_ms": 0,
        "references": (*by, ("own", f"90:x{n}")), "exact": 1,
        "act": Act("more", id, at, amount, "840", amount, f"90:x{n}"),
        "currency": "840", "expires_at": 1_790_600_000 + n, "touched": (Touched(AMOUNT, 1),),
        "decision": Decision("approved", 0, 1, 1, 0, limits), "answer_ttl_s": 3600,
        "body": encode_body(IncrementBody(told_of(n, amount, at=at), "", by)),
    }  # fmt: skip
    return Apply(**(base | changes))


def end(n: int, kind: str = "released") -> Close:
    return Close(
        act_id=f"x{n}{kind}", account_id=ACCOUNT, authorization_id=f"m{n}", kind=kind,
        at=SENT + 100, body=encode_body(CloseBody("test")),
    )  # fmt: skip


def refer(n: int) -> Authorize:
    return authorize(n, planned="referred", review="referred")


def settle(n: int, verdict: str = "declined") -> SettleReview:
    body = encode_body(ReviewBody("test"))
    return SettleReview(message_id=f"m{n}", account_id=ACCOUNT, verdict=verdict, body=body)


def withdraw(n: int, attempt: str = "t1") -> Withdraw:
    return Withdraw(
        account_id=ACCOUNT, shard_of=ACCOUNT, message_id=f"m{n}", attempt=attempt,
        answer_ttl_s=3600,
    )  # fmt: skip


@asynccontextmanager
async def prepared(url: str) -> AsyncIterator[tuple[Any, Any]]:
    """A new store with one account and card, before any authorization."""
    client = admin.administrator(url)
    await client.flushall()
    state = await opened(url)
    await put_accounts(state, [account()], "test")
    await put_cards(
        state,
        KEYS,
        [NewCard(pan=Pan("4000000000000001"), account_id=ACCOUNT, expiry="2812")],
        "test",
    )
    try:
        yield state, client
    finally:
        state._connection.close()
        await client.aclose()
        await asyncio.sleep(0)


@asynccontextmanager
async def lived(url: str) -> AsyncIterator[tuple[Any, Any]]:
    """A store with a small life behind it: m1 holds 10.00, m2 3.00 of 10.00, m3 is reversed."""
    async with prepared(url) as (state, client):
        for act in (authorize(1), authorize(2), authorize(3)):
            await state.authorize(act, 5)
        await state.apply(reverse(2, 300), 5)
        await state.apply(reverse(3), 5)
        await state.apply(reverse(4), 5)  # nobody's: a tombstone
        yield state, client


def audited(url: str, damage: Callable[[Any], Awaitable[None]] | None = None) -> AuditReport:
    async def scenario() -> AuditReport:
        async with lived(url) as (state, client):
            if damage is not None:
                await damage(client)
            report = await audit_store(url)
            return report

    return asyncio.run(scenario())


def rows(report: AuditReport) -> list[tuple[str, str, Any, Any]]:
    return [(d.account, d.field, d.hot, d.ledger) for d in report.differences]


_, WHOLE, EXPIRY, JOURNAL = keys.account_keys(ACCOUNT)
ONE, TWO = f"record {'m1'}", f"record {'m2'}"

step = st.one_of(
    st.builds(
        authorize,
        st.integers(1, 6),
        st.sampled_from([0, 1, 700, 1000, 4000]),
        attempt=st.sampled_from(["t1", "t2"]),
        planned=st.sampled_from(["approved", "approved", "card_frozen"]),
        asked_minor=st.sampled_from([1000, 2333]),
        references=st.lists(st.sampled_from(["90:x1", "90:x2", "37:r"]), max_size=2).map(tuple),
    ),
    st.builds(
        reverse,
        st.integers(1, 6),
        st.sampled_from([-1, 0, 1, 333, 5000]),
        st.sampled_from([(), (("de37", "37:r"),), (("de90", "90:x1"), ("de37", "37:r"))]),
    ),
    st.builds(withdraw, st.integers(1, 9), st.sampled_from(["t1", "t2"])),
    # Room for a tip, less than was asked, an inquiry.
    st.builds(
        authorize,
        st.integers(1, 6),
        st.just(4000),
        billed_minor=st.sampled_from([3000, 4000]),
        part_reference=st.sampled_from(["38:part", ""]),
    ),
    st.builds(authorize, st.just(11), st.just(0), inquires=st.just(True)),
    # Credits, available when they post or at their approval.
    st.builds(
        authorize,
        st.integers(1, 6),
        st.sampled_from([700, 4000]),
        sign=st.just(-1),
        limits=st.just(()),
        posts=st.sampled_from([0, 1, 2]),
    ),
    st.builds(
        increase,
        st.integers(7, 9),
        st.sampled_from([1, 700, 4000]),
        st.integers(1, 6),
        attempt=st.sampled_from(["t1", "t2"]),
    ),
    st.builds(
        advise,
        st.integers(1, 6),
        st.sampled_from([1, 700, 9000]),
        st.sampled_from(["set", "post", "last"]),
        st.sampled_from([(), (), (("de37", "37:r"),)]),
        sign=st.sampled_from([1, 1, 1, -1]),
    ),
    st.builds(end, st.integers(1, 6), st.sampled_from(["released", "expired"])),
    # Referrals, and what becomes of their cases.
    st.builds(
        authorize,
        st.integers(1, 9),
        planned=st.just("referred"),
        review=st.just("referred"),
        attempt=st.sampled_from(["t1", "t2"]),
    ),
    st.builds(settle, st.integers(1, 9), st.sampled_from(["declined", "ended"])),
)


@settings(max_examples=30)
@given(st.lists(step, max_size=40))
def test_any_history_passes(fresh_redis: str, history: list[Any]) -> None:
    async def scenario() -> None:
        async with prepared(fresh_redis) as (state, client):
            for act in history:
                with suppress(TooLate):  # an attempt that was withdrawn before
                    name = type(act).__name__.lower().replace("settlereview", "settle_review")
                    await getattr(state, name)(act, 5.0)
            report = await audit_store(fresh_redis)
            assert rows(report) == []
            assert report.ok
            records = msgspec.msgpack
            fields = await client.hgetall(WHOLE)
            packed = [value for name, value in fields.items() if name.startswith(b"a:")]
            judged = [r for r in map(records.decode, packed) if r[6] != ""]
            assert report.authorizations <= len(judged)

    asyncio.run(scenario())


def test_it_counts_what_it_saw(fresh_redis: str) -> None:
    report = audited(fresh_redis)
    assert (report.ok, report.accounts, report.authorizations) == (True, 1, 3)
    assert report.entries == 64 + 2 + 6  # the gates, the account and its card, the acts


def change_hash(key: str, field: str, by: int) -> Callable[[Any], Awaitable[None]]:
    async def damage(client: Any) -> None:
        await client.hincrby(key, field, by)

    return damage


async def lose_a_record(client: Any) -> None:
    await client.hdel(WHOLE, "a:m1")


async def double_a_record(client: Any) -> None:
    await client.hset(WHOLE, "a:m9", await client.hget(WHOLE, "a:m1"))


async def change_a_record(client: Any) -> None:
    record = msgspec.msgpack.decode(await client.hget(WHOLE, "a:m2"))
    record[10] += 1
    await client.hset(WHOLE, "a:m2", msgspec.msgpack.encode(record))


async def change_an_act(client: Any) -> None:
    record = msgspec.msgpack.decode(await client.hget(WHOLE, "a:m2"))
    record[8][0][3] = 200
    await client.hset(WHOLE, "a:m2", msgspec.msgpack.encode(record))


async def spoil_a_record(client: Any) -> None:
    await client.hset(WHOLE, "a:m1", b"\xc1")


async def lose_an_end(client: Any) -> None:
    await client.zrem(EXPIRY, f"{ACCOUNT} m1")


async def double_an_end(client: Any) -> None:
    await client.zadd(EXPIRY, {f"{ACCOUNT} m3": 1})


async def lose_the_card(client: Any) -> None:
    await client.hdel(WHOLE, keys.card_field(SUBJECT))


async def change_the_card(client: Any) -> None:
    field = keys.card_field(SUBJECT)
    card = await client.hget(WHOLE, field)
    await client.hset(WHOLE, field, card.replace(b"2812", b"3912"))


async def add_a_card(client: Any) -> None:
    await client.hset(WHOLE, keys.card_field("ghost"), b"1 x")


async def lose_the_directory(client: Any) -> None:
    await client.delete(keys.directory(KEYS.card_key(Pan("4000000000000001"))))


async def lose_a_reference(client: Any) -> None:
    await client.hdel(WHOLE, "r:90:x1")


async def lose_the_account(client: Any) -> None:
    await client.delete(WHOLE, EXPIRY)


async def age_the_profile(client: Any) -> None:
    await client.hset(WHOLE, "version", 7)


async def change_the_digest(client: Any) -> None:
    await client.hset(keys.control(SHARD), "digest", "0" * 40)


async def change_the_lists(client: Any) -> None:
    await client.hset(keys.control(SHARD), "lists", 3)


ANY = object()
DAMAGE: list[tuple[Callable[[Any], Awaitable[None]], list[tuple[Any, ...]]]] = [
    (change_hash(WHOLE, "held:840", 1), [("A1", "held 840", 1301, 1300)]),
    (change_hash(WHOLE, "posted:840", -1), [("A1", "posted 840", 4999, 5000)]),
    (change_hash(WHOLE, f"u:{COUNT}", 1), [("A1", f"counter {COUNT}", 3, 2)]),
    (change_hash(WHOLE, f"u:{AMOUNT}", -5), [("A1", f"counter {AMOUNT}", 1295, 1300)]),
    (change_hash(WHOLE, "u:other/day_count/20261121", 1),
     [("A1", "counter other/day_count/20261121", 1, 0)]),
    (lose_a_record, [("A1", ONE, None, "holds 1000")]),
    (double_a_record, [("A1", "record m9", "original m1", None)]),
    (change_a_record, [("A1", TWO, "holds 301", "its acts hold 300"),
                       ("A1", TWO, "holds 301", "entries hold 300")]),
    (change_an_act, [("A1", TWO, "holds 300", "its acts hold 200")]),
    (spoil_a_record, [("A1", ONE, "unreadable", None), ("A1", ONE, None, "holds 1000")]),
    (lose_an_end, [("A1", "expiry of m1", None, 1_790_600_001)]),
    (double_an_end, [("A1", "expiry of m3", 1, None)]),
    (lose_the_card, [("A1", f"card {SUBJECT}", None, "version 1")]),
    (change_the_card, [("A1", f"card {SUBJECT}", "version 1, another profile", "version 1")]),
    (add_a_card, [("A1", "card ghost", "there", None)]),
    (lose_the_directory, [("A1", f"directory of card {SUBJECT}", None, "there")]),
    (lose_a_reference, [("A1", "reference 90:x1", None, "m1")]),
    (lose_the_account, [("A1", "account", None, "in the journal")]),
    (age_the_profile, [("A1", "profile", "version 7, profile as journalled", "version 1")]),
    (change_the_digest, [("", f"digest of {SHARD}", "0" * 40, ANY)]),
    (change_the_lists, [("", f"lists of {SHARD}", 3, 0)]),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "expected"), DAMAGE, ids=lambda x: getattr(x, "__name__", ""))
def test_each_damage_is_told_alone(fresh_redis: str, damage: Any, expected: Any) -> None:
    report = audited(fresh_redis, damage)
    assert not report.ok
    assert report.found == len(expected)
    for told, row in zip(rows(report), expected, strict=True):
        assert all(want is ANY or got == want for got, want in zip(told, row, strict=True)), told


CASES: list[tuple[Callable[[Any], Awaitable[Any]], list[str]]] = [
    (lambda c: c.hdel(WHOLE, "v:m8"), ["review m8", "open reviews", "review m8 in the list"]),
    (lambda c: c.hset(WHOLE, "reviews", 7), ["open reviews"]),
    (lambda c: c.zrem(keys.reviews(SHARD), f"{ACCOUNT} m8"), ["review m8 in the list"]),
    (lambda c: c.zadd(keys.reviews(SHARD), {f"{ACCOUNT} m8": 1}), ["review m8 in the list"]),
    (lambda c: c.zadd(keys.reviews(SHARD), {"A9 m1": 1}), ["review m1 in the list"]),
    (
        lambda c: c.hset(WHOLE, "v:m7", f"{SUBJECT} 1 x"),
        ["review m7", "open reviews", "review m7 in the list"],
    ),
]


@pytest.mark.parametrize(("damage", "expected"), CASES)
def test_a_case_that_is_lost_or_of_nobody_is_told(
    fresh_redis: str, damage: Any, expected: list[str]
) -> None:
    async def scenario() -> None:
        async with lived(fresh_redis) as (state, client):
            for n in (7, 8, 9):
                assert (await state.authorize(refer(n), 5)).review == "opened"
            assert await state.settle_review(settle(7), 5) == "declined"
            assert await state.withdraw(withdraw(9), 5) == "forgotten"
            assert (await audit_store(fresh_redis)).ok
            await damage(client)
            assert fields_of(await audit_store(fresh_redis)) == expected

    asyncio.run(scenario())


async def rewrite(client: Any, change: Callable[[int, dict[bytes, bytes]], Any]) -> None:
    """The stream once more, with the same ids: `change` returns an entry's fields, or None."""
    entries = await client.xrange(JOURNAL)
    await client.delete(JOURNAL)
    for n, (id, fields) in enumerate(entries):
        fields = change(n, fields)
        if fields is not None:
            await client.xadd(JOURNAL, fields, id=id)


def fields_of(report: AuditReport) -> list[str]:
    return [d.field for d in report.differences]


# The shard's stream: 0 gate, 1 account, 2 card, 3-5 m1 m2 m3, 6-8 r2 r3 r4.


def test_a_deleted_entry_is_missed_by_gate_and_account(fresh_redis: str) -> None:
    async def damage(client: Any) -> None:
        entries = await client.xrange(JOURNAL)
        await client.xdel(JOURNAL, entries[3][0])

    report = audited(fresh_redis, damage)
    assert fields_of(report) == [
        "entries",
        "held 840 before m2",
        f"counter {COUNT} before m2",
        f"counter {AMOUNT} before m2",
        ONE,
    ]
    assert rows(report)[-1] == (ACCOUNT, ONE, "original m1", None)


def test_the_last_entry_is_missed_like_any_other(fresh_redis: str) -> None:
    async def damage(client: Any) -> None:
        await client.xdel(JOURNAL, (await client.xrevrange(JOURNAL, count=1))[0][0])

    assert fields_of(audited(fresh_redis, damage)) == [
        "entries",
        "record r4",
    ]


def test_an_altered_body_breaks_the_digest(fresh_redis: str) -> None:
    def change(n: int, fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
        return fields | {b"b": fields[b"b"].replace(b"5411", b"7995")} if n == 3 else fields

    async def damage(client: Any) -> None:
        await rewrite(client, change)

    assert fields_of(audited(fresh_redis, damage)) == ["digest"]


def test_an_altered_amount_is_told_where_it_stands(fresh_redis: str) -> None:
    def change(n: int, fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
        envelope = msgspec.msgpack.decode(fields[b"e"])
        envelope[10] -= 1  # the first hold was a cent less, it says
        return fields | {b"e": msgspec.msgpack.encode(envelope)} if n == 3 else fields

    async def damage(client: Any) -> None:
        await rewrite(client, change)

    report = audited(fresh_redis, damage)
    assert rows(report)[1:] == [
        (ACCOUNT, "held 840 before m1", 1, 0),
        (ACCOUNT, ONE, "holds 1000", "entries hold 999"),
    ]


def test_an_unreadable_entry_is_named(fresh_redis: str) -> None:
    def change(n: int, fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
        return fields | {b"e": b"\xc1"} if n == 2 else fields

    async def damage(client: Any) -> None:
        await rewrite(client, change)

    report = audited(fresh_redis, damage)
    assert [d.hot for d in report.differences if d.field.startswith("entry ")] == ["unreadable"]


def test_an_approval_that_went_over_is_told(fresh_redis: str) -> None:
    """By its own entry, and by what is available now; a function that erred would show so."""

    async def scenario() -> AuditReport:
        async with prepared(fresh_redis) as (state, client):
            # The body says what the line was; the argument is what the function believed.
            await state.authorize(authorize(1, 6000, credit_line_minor=9999), 5)
            report = await audit_store(fresh_redis)
            return report

    assert rows(asyncio.run(scenario())) == [
        (ACCOUNT, "available after m1", -1000, "not below 0"),
        (ACCOUNT, "available", -1000, "not below 0"),
    ]


async def go_below(state: Any, how: str) -> None:
    """Take account A1 (50.00) below zero, as only what was decided elsewhere may."""
    match how:
        case "an advice":
            await state.apply(advise(1, 6000), 5)
        case "a force post":
            await state.apply(advise(1, 6000, "last"), 5)
        case "a completion":
            await state.authorize(authorize(1, 4000), 5)
            await state.apply(advise(1, 6000, "last"), 5)
        case "a credit taken back":
            await state.authorize(authorize(1, 2000, sign=-1, posts=2, limits=()), 5)
            await state.authorize(authorize(2, 6000), 5)
            await state.apply(reverse(1), 5)
        case "a credit that ended":
            await state.authorize(authorize(1, 2000, sign=-1, posts=2, limits=()), 5)
            await state.authorize(authorize(2, 6000), 5)
            assert await state.close(end(1), 5) == ("closed", 2000)
        case "a credit withdrawn":
            await state.authorize(authorize(1, 2000, sign=-1, posts=1, limits=()), 5)
            await state.authorize(authorize(2, 6000), 5)
            assert await state.withdraw(withdraw(1), 5) == "released"


BELOW = ["an advice", "a force post", "a completion", "a credit taken back",
         "a credit that ended", "a credit withdrawn"]  # fmt: skip


@pytest.mark.parametrize(("act", "place", "value"), [(0, 2, SENT), (0, 3, 1), (1, 4, "978")])
def test_an_act_that_says_other_than_its_entry_is_told(
    fresh_redis: str, act: int, place: int, value: Any
) -> None:
    """Of an increment and a completion that were reversed, so that no sum of theirs can tell."""

    async def scenario() -> AuditReport:
        async with prepared(fresh_redis) as (state, client):
            await state.authorize(authorize(1), 5)
            await state.apply(increase(7), 5)
            await state.apply(advise(1, 700, "last"), 5)
            for n, name in ((8, "90:x7"), (9, "90:last1")):
                back = reverse(n, references=(("de90", name),))
                one = msgspec.structs.replace(back.act, names=name)
                await state.apply(msgspec.structs.replace(back, act=one), 5)
            assert (await audit_store(fresh_redis)).ok
            record = msgspec.msgpack.decode(await client.hget(WHOLE, "a:m1"))
            record[8][act][place] = value
            await client.hset(WHOLE, "a:m1", msgspec.msgpack.encode(record))
            return await audit_store(fresh_redis)

    [told] = rows(asyncio.run(scenario()))
    assert told[1] == f"act {('m7', 'last1')[act]} of record m1"


@pytest.mark.parametrize("how", BELOW)
def test_what_was_decided_elsewhere_may_go_over_and_the_gates_open(
    fresh_redis: str, how: str
) -> None:
    async def scenario() -> None:
        async with prepared(fresh_redis) as (state, client):
            await go_below(state, how)
            posted, held = await client.hmget(WHOLE, "posted:840", "held:840")
            assert int(posted) - int(held) < 0
            await state.apply(reverse(77), 5)  # it goes on, after that entry too
            assert rows(await audit_store(fresh_redis)) == []
            for shard in keys.ALL_SHARDS:  # as another run of the store would find them
                await client.hset(keys.control(shard), "run_id", "before")
            report = await audit_before_opening(client, fresh_redis, "test")
            assert report is not None
            assert report.ok
            assert await admin.state_of_gates(client) == "open"

    asyncio.run(scenario())


def overdraft(line: int, **changes: Any) -> Authorize:
    """An approval of 60.00 that a function gave which erred about the line: its body knows."""
    body = told_of(2, 6000)
    return authorize(2, 6000, credit_line_minor=line, **changes, body=encode_body(body))


@pytest.mark.parametrize("how", BELOW[:1])
@pytest.mark.parametrize("posts", [0, 1])
def test_no_approval_goes_further_below_what_was_taken_elsewhere(
    fresh_redis: str, how: str, posts: int
) -> None:
    async def scenario() -> AuditReport:
        async with prepared(fresh_redis) as (state, client):
            await go_below(state, how)
            said = await state.authorize(overdraft(99_999, posts=posts, limits=()), 5)
            assert said.kind == "held"
            return await audit_store(fresh_redis)

    assert rows(asyncio.run(scenario())) == [(ACCOUNT, "available after m2", -7000, "not below 0")]


def test_an_increment_that_went_over_is_told(fresh_redis: str) -> None:
    async def scenario() -> AuditReport:
        async with prepared(fresh_redis) as (state, client):
            await state.authorize(authorize(1, 1000), 5)
            said = Decision("approved", 99_999, 1, 1, 0, ())
            assert (await state.apply(increase(7, 5000, decision=said), 5)).kind == "held"
            return await audit_store(fresh_redis)

    assert rows(asyncio.run(scenario())) == [
        (ACCOUNT, "available after m7", -1000, "not below 0"),
        (ACCOUNT, "available", -1000, "not below 0"),
    ]


def test_an_approval_that_takes_nothing_is_no_overdraft(fresh_redis: str) -> None:
    """What came before it was posted by force, and its reversal by another way: both are taken in,
    and what was posted is held. Nothing more is promised than was taken already."""

    async def scenario() -> AuditReport:
        async with prepared(fresh_redis) as (state, client):
            await state.apply(advise(2, 9000, "last"), 5)
            await state.apply(advise(1, 2000, "post", (("de37", "37:r"),)), 5)
            back = msgspec.structs.replace(reverse(3), references=(("de90", "90:x1"),))
            back = msgspec.structs.replace(
                back, act=msgspec.structs.replace(back.act, names="90:post1")
            )
            await state.apply(back, 5)
            act = authorize(1, 1000, references=("90:x1", "37:r"), limits=())
            assert (await state.authorize(act, 5)).kind == "held"
            return await audit_store(fresh_redis)

    assert rows(asyncio.run(scenario())) == []


def test_a_lowered_credit_line_is_nobodys_overdraft(fresh_redis: str) -> None:
    async def scenario() -> AuditReport:
        async with prepared(fresh_redis) as (state, client):
            await put_accounts(state, [account(line=2000)], "test")
            act = authorize(1, 6000, credit_line_minor=2000, account_version=2)
            body = msgspec.structs.replace(
                msgspec.msgpack.decode(act.body, type=AuthorizationBody), credit_line_minor=2000
            )
            act = msgspec.structs.replace(act, body=encode_body(body))
            assert (await state.authorize(act, 5)).kind == "held"
            await put_accounts(state, [account(line=0)], "test")
            report = await audit_store(fresh_redis)
            return report

    assert rows(asyncio.run(scenario())) == []


def test_a_cut_journal_passes_only_where_somebody_has_the_rest(fresh_redis: str) -> None:
    async def scenario() -> None:
        async with lived(fresh_redis) as (state, client):
            await client.xtrim(JOURNAL, maxlen=3, approximate=False)
            strict = await audit_store(fresh_redis)
            assert rows(strict) == [("", f"journal of {SHARD}", "cut at its head", "whole")]
            lenient = await audit_store(fresh_redis, may_be_trimmed=True)
            assert (lenient.ok, lenient.trimmed) == (True, 6)
            await client.hincrby(WHOLE, "held:840", 1)
            assert not (await audit_store(fresh_redis, may_be_trimmed=True)).ok

    asyncio.run(scenario())


def test_it_holds_while_the_account_is_moving(fresh_redis: str) -> None:
    async def scenario() -> None:
        async with prepared(fresh_redis) as (state, client):
            await put_accounts(state, [account(f"B{n}") for n in range(300)], "test")
            done = False

            async def traffic() -> int:
                n = 0
                while not done:
                    n += 1
                    await asyncio.gather(
                        state.authorize(authorize(n, 1, limits=()), 5),
                        state.apply(reverse(n - 7, 0), 5),
                    )
                return n

            moving = asyncio.create_task(traffic())
            for _ in range(5):
                report = await audit_store(fresh_redis)
                assert rows(report) == []
            done = True
            assert await moving > 20

    asyncio.run(scenario())


def test_after_a_restart_the_gates_open_if_nothing_differs(fresh_redis: str) -> None:
    async def scenario() -> None:
        async with lived(fresh_redis) as (state, client):
            assert await audit_before_opening(client, fresh_redis, "test") is None
            for shard in keys.ALL_SHARDS:  # as another run of the store would find them
                await client.hset(keys.control(shard), "run_id", "before")
            reports = await asyncio.gather(
                *(audit_before_opening(client, fresh_redis, f"engine {n}") for n in range(3))
            )
            assert [report.ok for report in reports if report] == [True]
            assert await admin.state_of_gates(client) == "open"
            assert await client.exists(keys.GATE_LOCK) == 0

    asyncio.run(scenario())


def test_after_a_restart_the_gates_stay_shut_if_anything_differs(fresh_redis: str) -> None:
    async def scenario() -> None:
        async with lived(fresh_redis) as (state, client):
            for shard in keys.ALL_SHARDS:
                await client.hset(keys.control(shard), "run_id", "before")
            await client.hincrby(WHOLE, "held:840", 1)
            report = await audit_before_opening(client, fresh_redis, "test")
            assert report is not None
            assert not report.ok
            assert await admin.state_of_gates(client) == "shut"
            with pytest.raises(HotStateError):
                await state.authorize(authorize(9), 5)
            await client.flushall()
            with pytest.raises(admin.NotFit, match="empty"):
                await audit_before_opening(client, fresh_redis, "test")

    asyncio.run(scenario())


def test_lists_are_part_of_it(fresh_redis: str) -> None:
    async def scenario() -> None:
        async with lived(fresh_redis) as (state, client):
            assert await put_lists(client, [("merchant", "M1")], "test") == (1, True)
            assert (await audit_store(fresh_redis)).ok

    asyncio.run(scenario())


def test_a_store_that_lost_everything_does_not_pass(fresh_redis: str) -> None:
    async def scenario() -> AuditReport:
        client = admin.administrator(fresh_redis)
        try:
            return await audit(client)
        finally:
            await client.aclose()

    assert rows(asyncio.run(scenario())) == [("", "gates", 0, 64)]


def test_a_shard_that_lost_its_gate_and_its_journal_is_missed(fresh_redis: str) -> None:
    other = next(shard for shard in keys.ALL_SHARDS if shard != SHARD)

    async def damage(client: Any) -> None:
        await client.delete(keys.control(other), keys.journal(other))

    assert rows(audited(fresh_redis, damage)) == [("", "gates", 63, 64)]


def test_a_run_that_was_not_audited_is_not_opened(
    fresh_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store restarts between the audit and the opening: what was found is of another run."""
    audits = 0

    async def counting(url: str, **given: Any) -> AuditReport:
        nonlocal audits
        audits += 1
        if audits == 1:
            monkeypatch.setattr(admin, "run_id", honest)
        return await audit_store(url, **given)

    honest = admin.run_id

    async def scenario() -> None:
        async with lived(fresh_redis) as (state, client):
            for shard in keys.ALL_SHARDS:
                await client.hset(keys.control(shard), "run_id", "before")

            async def before_the_restart(client: Any) -> str:
                return "the run that is audited"

            monkeypatch.setattr(admin, "run_id", before_the_restart)
            monkeypatch.setattr(audit_module, "audit_store", counting)
            report = await audit_before_opening(client, fresh_redis, "test")
            assert report is not None
            assert report.ok
            assert await admin.state_of_gates(client) == "open"

    asyncio.run(scenario())
    assert audits == 2


def test_a_raised_credit_line_excuses_no_overdraft(fresh_redis: str) -> None:
    async def scenario() -> AuditReport:
        async with prepared(fresh_redis) as (state, client):
            await put_accounts(state, [account(line=2000)], "test")
            act = authorize(1, 8000, credit_line_minor=9999, account_version=2)
            body = msgspec.structs.replace(
                msgspec.msgpack.decode(act.body, type=AuthorizationBody), credit_line_minor=2000
            )
            assert (
                await state.authorize(msgspec.structs.replace(act, body=encode_body(body)), 5)
            ).kind == "held"
            return await audit_store(fresh_redis)

    assert rows(asyncio.run(scenario())) == [
        (ACCOUNT, "available after m1", -1000, "not below 0"),
        (ACCOUNT, "available", -1000, "not below 0"),
    ]


def test_a_reversal_that_is_missing_in_a_record_is_told_even_if_it_released_nothing(
    fresh_redis: str,
) -> None:
    async def scenario() -> AuditReport:
        async with lived(fresh_redis) as (state, client):
            await state.apply(reverse(33, 500, (("de90", "90:x3"),)), 5)
            record = msgspec.msgpack.decode(await client.hget(WHOLE, "a:m3"))
            record[8] = [act for act in record[8] if act[1] != "r33"]
            await client.hset(WHOLE, "a:m3", msgspec.msgpack.encode(record))
            return await audit_store(fresh_redis)

    assert rows(asyncio.run(scenario())) == [(ACCOUNT, "record m3", "1 acts", "2 others")]


def test_a_record_that_says_another_original_is_told(fresh_redis: str) -> None:
    async def damage(client: Any) -> None:
        record = msgspec.msgpack.decode(await client.hget(WHOLE, "a:m1"))
        record[6] = "m9"
        await client.hset(WHOLE, "a:m1", msgspec.msgpack.encode(record))

    assert rows(audited(fresh_redis, damage)) == [(ACCOUNT, ONE, "original m9", "original m1")]


@pytest.mark.parametrize("mti", ["0120", "0220"])
@pytest.mark.parametrize("early", [False, True])
def test_an_advice_that_was_declined_there_passes(fresh_redis: str, mti: str, early: bool) -> None:
    """What it took back is its own entry's word; it counts as no authorization."""

    async def scenario() -> tuple[AuditReport, Any, Any]:
        client = admin.administrator(fresh_redis)
        await client.flushall()
        state = await opened(fresh_redis)
        now_ms = 1000 * int((await client.time())[0]) + 60_000
        world = World(state)
        world.clock.advance((now_ms - world.clock.now_ms()) / 1000)
        profile = whose()
        await put_accounts(state, [NewAccount(profile=profile, opening_minor=10_000)], "test")
        card = NewCard(pan=Pan(PAN), account_id="A1", expiry="2812")
        await put_cards(state, WORLD_KEYS, [card], "test")
        link = world.link()
        bought = purchase(1, 5000, at_ms=now_ms)
        named = f"0100{bought[11]}{bought[7]}{'':0>22}"
        told = advice_of(bought, 2, at_ms=now_ms + 1000, de39="05", de90=named)
        said = [("0100", bought), (mti, told)]
        for one in reversed(said) if early else said:
            await link.say(*one)
        held = await client.hget(keys.account("A1"), "held:840")
        totals = await state.totals("generic", world.engine.today(), "840", 5)
        state._connection.close()  # type: ignore[union-attr]
        await client.aclose()
        await asyncio.sleep(0)
        return await audit_store(fresh_redis), held, totals["authorizations"]

    report, held, counted = asyncio.run(scenario())
    assert report.ok, rows(report)
    if mti == "0120":
        assert held == b"0"
        assert counted == ((0, 0) if early else (1, 0))
    else:
        assert held == b"5000", "a completion that failed elsewhere takes nothing back"
        assert counted == (1, 0)
