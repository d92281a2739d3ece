"""Lines on networks' accounts as a test wants them, and a batcher that may end itself.

    python -m tests.support.batcher DSN T0 PLACE NUMBER

An item's MCC says its cycle: "0007" is the cycle that ends seven minutes after T0. So a test
decides what falls where, whatever the store's clock says.
"""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from authz.app.settling import message_id
from authz.hot.acts import Note
from authz.hot.store import RedisHotState
from ledger.database import connect
from ledger.journal import LedgerBody, encode_body
from ledger.settlement import Cycle
from ledger.settlement import Item as Told
from ledger.settling import Batcher

MINUTE_MS = 60_000
PLACES = ("read", "insert", "commit", "committed", "close")  # "commit": right before it


class Item(NamedTuple):
    """A line to be settled."""

    network: str
    program: str
    currency: str
    amount_minor: int
    cycle: int


class Minutes:
    """Terms by which each minute is a cycle, and one percent is expected."""

    exponents: Mapping[str, int] = {"840": 2, "392": 0}

    def __init__(self, t0_minutes: int) -> None:
        self.t0 = t0_minutes

    def cycle(self, item: Told, at_ms: int) -> Cycle:
        first = at_ms // MINUTE_MS + 1
        minute = max(first, self.t0 + int(item.mcc or 0))
        day = datetime.fromtimestamp(minute * 60, UTC).date()
        return Cycle(minute * MINUTE_MS, day, day, 0)

    def expected_micro(self, item: Told, amount_minor: int) -> int:
        return -amount_minor * 10_000

    def ends(self, cycle: int) -> int:
        return (self.t0 + cycle) * MINUTE_MS


def soon() -> int:
    """A T0 that no entry's own time comes near."""
    return int(datetime.now(UTC).timestamp()) // 60 + 100_000


async def say(state: RedisHotState, body: LedgerBody, id: str = "") -> str:
    """Journal a movement."""
    id = id or f"item:{secrets.token_hex(8)}"
    verdict = await state.note(
        Note(
            shard_of=id, message_id=id, fingerprint="f", attempt=secrets.token_hex(4),
            deadline_ms=0, verdict="noted", planned="approved", answer_ttl_s=60,
            body=encode_body(body),
        ),
        10.0,
    )  # fmt: skip
    return verdict.kind


async def put(state: RedisHotState, items: list[Item]) -> None:
    """Journal items."""
    for one in items:
        lines = (
            (one.program, one.currency, "network", one.network, one.amount_minor),
            (one.program, one.currency, "unmatched", "", -one.amount_minor),
        )
        facts = (("mcc", f"{one.cycle:04}"), ("bin", "999999"))
        await say(state, LedgerBody("unmatched", "r1", "test", lines, facts))


async def put_settlement(state: RedisHotState, batch_id: str, body: LedgerBody) -> str:
    return await say(state, body, message_id(batch_id))


async def doomed(dsn: str, t0: int, place: str, left: int) -> None:
    def at(here: str) -> None:
        nonlocal left
        if here == place:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    connection = await connect(dsn)
    terms, now = Minutes(t0), 0
    batcher = Batcher(connection, terms, lambda: now, at)
    while True:  # until we are killed, by ourselves or by the test
        await batcher.take()
        now += 1
        await batcher.close_due(terms.ends(now // 4))
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(doomed(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
