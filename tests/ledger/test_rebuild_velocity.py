"""Windows and counters after a loss: whatever is asked is answered as the whole history says,
though the store lost everything in the middle of it and was told anew from the books.

Lives and bookkeeper are those of tests/scenarios/test_velocity_model.py: windows in buckets, of
different merchants, of declines, of calendar days; reversals before and after, expiry.
"""

import asyncio
from itertools import count
from random import Random
from typing import Any

from hypothesis import settings

from authz.app.rebuilding import rebuild
from authz.audit import audit_store
from authz.clock import ManualClock
from authz.hot import admin, keys
from authz.judgement import put_policy
from tests.ledger.test_rebuild_lives import WEEK
from tests.scenarios.test_velocity_model import DAY, POLICY, Town, a_crowded_life
from tests.support.books import begin, drain
from tests.support.engine import KEYS
from tests.support.hot import opened
from tests.support.pictures import differences, lose, picture

DEEP = settings.default is not None and settings.default.max_examples > 100
LIVES = 60 if DEEP else 4


def test_windows_after_a_loss(fresh_redis: str, fresh_postgres: str) -> None:
    tags = count(1)

    async def lives() -> None:
        await begin(fresh_postgres)
        state, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        await client.set(keys.PAN_KEY, KEYS.check)
        await put_policy(client, POLICY, "test")
        now = (int((await client.time())[0]) - 90 * DAY) // DAY * DAY
        for seed in range(LIVES):
            dice = Random(seed)
            # One after the other, so that what ended for one has ended for those before it.
            town = Town(state, ManualClock((now + 37) * 1000), f"t{next(tags)}")
            await town.open()
            history: list[Any] = a_crowded_life(dice)
            lost_at = {dice.randrange(len(history)) for _ in range(2)}
            for number, step in enumerate(history):
                await town.live(step)
                now = town.now()
                if number in lost_at:
                    await drain(fresh_redis, fresh_postgres)
                    before = await picture(client, now)
                    await lose(client)
                    await rebuild(fresh_redis, fresh_postgres, KEYS.check, WEEK, "test")
                    after = await picture(client, now)
                    assert differences(before, after) == []
        report = await audit_store(fresh_redis, may_be_trimmed=True)
        assert report.ok, report.differences[:5]
        assert state._connection is not None
        state._connection.close()
        await client.aclose()
        await asyncio.sleep(0)

    asyncio.run(lives())
