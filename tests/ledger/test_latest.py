"""What a rebuild is told from, of one batch: the latest of each thing, and nothing that was taken
back. That it is all that is needed: tests/ledger/test_rebuild_lives.py."""

import asyncio
from typing import Any

import msgspec
import pytest

from ledger.journal import Envelope
from ledger.latest import KEPT_AFTER_S, NEVER, Latest, Review, write_latest
from ledger.source import Raw
from tests.support.books import begin, books

pack = msgspec.msgpack.Encoder().encode
AT_MS = 1_800_000_000_000
TRIED = ["C1/noes/declines/600s|1", 2, AT_MS // 1000 + 600, 600]


def entry(kind: str, message_id: str = "m1", **changes: Any) -> Envelope:
    told: dict[str, Any] = {
        "layout": 1, "kind": kind, "message_id": message_id, "authorization_id": "",
        "account_id": "A1", "card_id": "c1", "verdict": "declined", "detail": "", "currency": "840",
        "posted_delta": 0, "held_delta": 0, "posted_after": 0, "held_after": 0, "at_ms": AT_MS,
        "counters": [(TRIED[0], 0, 1)], "versions": [1, 1, 1],
    }  # fmt: skip
    return Envelope(**(told | changes))


def raw(record: bytes | None = None, answer: bytes | None = None, body: bytes = b"b") -> Raw:
    return Raw(b"1-0", b"e", body, [], record, answer)


def answer(*tried: list[Any]) -> bytes:
    given: list[Any] = ["f", "declined", "", "declined", 0, ["t"], "", [], "", "", list(tried)]
    return b"3600 " + pack(given if tried else given[:8])


def test_a_record_stands_until_it_is_taken_in() -> None:
    latest = Latest()
    assert latest.add(1, entry("authorization", authorization_id="a1"), raw(b"one"))
    assert latest.add(1, entry("reversal", authorization_id="a1"), raw(b"two"))
    assert latest.add(1, entry("close", authorization_id="a1"), raw())
    assert latest.records == {"a1": b"two"}
    taken = entry("authorization", "m2", authorization_id="a2", absorbed=["a1", "a2"])
    assert latest.add(1, taken, raw(b"three"))
    assert latest.records == {"a1": b"", "a2": b"three"}


def test_a_decline_counts_until_it_is_withdrawn() -> None:
    latest = Latest()
    assert latest.add(1, entry("authorization"), raw(answer=answer(TRIED)))
    assert latest.add(1, entry("authorization", "m2"), raw(answer=answer()))
    forever = [*TRIED[:2], 0, 0]
    assert latest.add(1, entry("increment", "m3"), raw(answer=answer(TRIED, forever)))
    assert latest.declines == {
        "m1": ("A1", pack([TRIED]), TRIED[2]), "m3": ("A1", pack([TRIED, forever]), NEVER),
    }  # fmt: skip
    assert latest.add(1, entry("withdrawal"), raw())
    assert latest.declines["m1"] is None


def test_a_case_is_open_until_it_is_decided() -> None:
    latest = Latest()
    assert latest.add(1, entry("authorization", review="opened"), raw(answer=answer()))
    assert latest.add(1, entry("authorization", "m2", review="full"), raw(answer=answer()))
    assert latest.reviews == {("A1", "m1"): Review("c1", AT_MS // 1000, b"b")}
    assert latest.add(1, entry("review", verdict="approved"), raw())
    assert latest.reviews == {("A1", "m1"): None}
    assert latest.tallies == {
        (1, "reviews:opened"): (1, 0), (1, "reviews:full"): (1, 0), (1, "reviews:approved"): (1, 0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("told", "came"),
    [
        (entry("authorization"), raw(answer=b"3600 \xc1")),
        (entry("authorization"), raw(answer=answer([1]))),
        (entry("account"), raw(body=b"\xc1")),
        (entry("cut_over", verdict="moved"), raw(body=b"")),
        (entry("judgement", versions=[]), raw()),
    ],
)
def test_what_no_function_writes_is_told_of(told: Envelope, came: Raw) -> None:
    assert not Latest().add(1, told, came)


def test_declines_are_dropped_long_after_they_ended(fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        async with books(fresh_postgres) as connection:
            for number, later_s in enumerate((0, KEPT_AFTER_S, KEPT_AFTER_S + 601)):
                latest = Latest()
                told = entry("authorization", f"m{number}", at_ms=AT_MS + later_s * 1000)
                tried = [*TRIED[:2], TRIED[2] + later_s, 600]
                assert latest.add(1, told, raw(answer=answer(tried)))
                async with connection.transaction():
                    await write_latest(connection, latest)
            rows = await connection.fetch("SELECT message_id FROM decline ORDER BY 1")
            assert [row[0] for row in rows] == ["m1", "m2"]

    asyncio.run(story())
