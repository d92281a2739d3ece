"""What the functions write is what the books will read."""

import asyncio

import msgspec
import pytest

from authz.hot import admin, keys
from ledger.journal import (
    AuthorizationBody,
    Envelope,
    WithdrawalBody,
    encode_body,
    read_entry,
    seen_by,
)
from tests.support.engine import PAN, World, purchase, reversal
from tests.support.hot import opened


def test_every_act_is_an_entry_with_what_moved(fresh_redis: str) -> None:
    async def story() -> None:
        hot, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        world = await World(hot).open_with(10_000, daily_count=5)
        # The stories run on the real clock's answers: the store refuses deadlines of the past.
        world.clock._now_ms = (await client.time())[0] * 1000 + 5000
        now = world.clock._now_ms
        link = world.link()
        await link.say("0100", purchase(1, 6000, at_ms=now))
        await link.say("0100", purchase(2, 6000, at_ms=now))
        await link.say("0400", reversal(purchase(1, 6000, at_ms=now), at_ms=now))
        shard = keys.shard_of("A1")
        entries = [read_entry(*row) for row in await client.xrange(keys.journal(shard))]
        told = [
            (e.envelope.kind, e.envelope.verdict, e.envelope.held_delta, e.envelope.held_after)
            for e in entries
        ]
        assert told == [
            ("gate", "new", 0, 0),
            ("account", "created", 0, 0),
            ("card", "created", 0, 0),
            ("authorization", "held", 6000, 6000),
            ("authorization", "no_funds", 0, 6000),
            ("reversal", "reversed", -6000, 0),
        ]
        judged = entries[3]
        assert isinstance(judged.body, AuthorizationBody)
        assert judged.body.stan == "000001"
        assert judged.envelope.counters[0][1:] == (0, 1)
        assert judged.envelope.versions == [1, 1, 0]
        assert entries[5].envelope.authorization_id == judged.envelope.message_id
        assert entries[5].envelope.detail == "de90"
        for row in await client.xrange(keys.journal(shard)):
            assert PAN.encode() not in b"".join(row[1].values())
        hot._connection.close()  # type: ignore[union-attr]
        await client.aclose()
        await asyncio.sleep(0.01)

    asyncio.run(story())


def test_bodies_are_told_apart_by_their_tags() -> None:
    packed = encode_body(WithdrawalBody("t1"))
    assert msgspec.msgpack.decode(packed) == ["withdrawal", "t1"]
    with pytest.raises(msgspec.ValidationError):
        read_entry(b"1-1", {b"e": packed, b"b": packed})


def test_what_each_ceiling_saw_before_and_after() -> None:
    """A counter by itself; a window by what it had in it; different ones by how many are new."""
    rolling, known, new, idle = (
        "S/a/count/600s|12", "S/b/merchants/day|0|M1", "S/b/merchants/day|0|M2", "S/c/amount/1h|2"
    )  # fmt: skip
    e = Envelope(
        layout=1, kind="authorization", message_id="m", authorization_id="m", account_id="A1",
        card_id="C1", verdict="held", detail="", currency="840", posted_delta=0, held_delta=500,
        posted_after=0, held_after=500, at_ms=1, versions=[1, 1, 0],
        counters=[("S/d/amount/2026", 100, 600), (rolling, 2, 3), (known, 4, 5), (new, 0, 1)],
        windows=[(1, 7, 1), (2, 2, 0), (3, 2, 1), (4, 900, 500)],
    )  # fmt: skip
    limits = [
        ("amount_limit", "S/d/amount/2026", 500, 1000, 1), ("count_limit", rolling, 1, 9, 0),
        ("merchants_limit", known, 1, 3, 0), ("merchants_limit", new, 1, 3, 0),
        ("amount_limit", idle, 500, 1000, 1), ("amount_limit", "of before", 500, 1000, 1),
    ]  # fmt: skip
    assert seen_by(e, limits) == [
        (100, 600, 500), (7, 8, 1), (2, 2, 0), (2, 3, 1), (900, 900, 500), (None, None, 500),
    ]  # fmt: skip
