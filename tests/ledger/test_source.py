"""Trimming, as the source of the journal does it: by age, by what is committed, and by length."""

import asyncio

import pytest
import redis.asyncio

from ledger import source
from ledger.source import Source

KEY = "journal"


def left(url: str, *, committed: int, keep_s: int, entries: int = 100, over_s: int = 1000) -> int:
    """How many are left of entries that came evenly over so long a time, up to now."""

    async def story() -> int:
        client = redis.asyncio.Redis.from_url(url)
        now_ms = (await client.time())[0] * 1000
        ids = [now_ms - over_s * 1000 + n * over_s * 1000 // entries for n in range(entries)]
        for id in ids:
            await client.xadd(KEY, {"e": "", "b": ""}, id=f"{id}-1")
        there = Source(url, {0: KEY})
        await there.trim({0: f"{ids[committed - 1]}-1".encode()}, keep_s)
        await there.close()
        count = int(await client.xlen(KEY))
        await client.aclose()
        return count

    return asyncio.run(story())


def test_what_is_younger_stays(fresh_redis: str) -> None:
    assert left(fresh_redis, committed=100, keep_s=500) in range(40, 52)


def test_what_is_not_committed_stays(fresh_redis: str) -> None:
    assert left(fresh_redis, committed=20, keep_s=1) == 81  # the last that is committed, too


@pytest.mark.parametrize(("committed", "stay"), [(100, range(30, 42)), (30, range(71, 72))])
def test_a_long_one_is_cut_whatever_its_age(
    fresh_redis: str, committed: int, stay: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "LONG", 40)
    assert left(fresh_redis, committed=committed, keep_s=86_400) in stay


def test_a_short_one_is_not(fresh_redis: str) -> None:
    assert left(fresh_redis, committed=100, keep_s=86_400) == 100
