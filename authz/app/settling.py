"""Settlement put together: a configuration's rows, the books, and the journal that moves money."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import date

import asyncpg
import structlog

from authz import identity
from authz.config import Config
from authz.hot import keys
from authz.hot.acts import Note, Verdict
from authz.hot.store import RedisHotState
from ledger.database import connect
from ledger.journal import LedgerBody, encode_body
from ledger.settlement import Cycle, Item
from ledger.settlement_entry import Conversion, Settling
from ledger.settlement_metrics import SettlementMetrics
from ledger.settlement_read import Batch, counters, standing
from ledger.settling import Batcher
from ledger.source import Source
from rules import routes, settlement
from rules.calendars import calendars
from rules.fx import EXPONENTS
from rules.reason import Reason

log = structlog.get_logger()
STREAMS = {int(shard): keys.journal(shard) for shard in keys.ALL_SHARDS}
TIMEOUT_S = 5.0


class NoRoute(Exception):
    """A batch must be converted, and no source states a rate for it. The text says which pair."""


class ConfiguredTerms:
    """The rules of a configuration, as the batcher asks for them."""

    exponents = EXPONENTS

    def __init__(self, config: Config) -> None:
        s = config.settlement
        closed = {
            currency: tuple(date.fromisoformat(day) for day in days)
            for currency, days in s.holidays.items()
        }
        self._schedule = settlement.Schedule(
            config.cycles, config.interchange, calendars(s.calendars, closed)
        )

    def cycle(self, item: Item, at_ms: int) -> Cycle:
        return Cycle(*self._schedule.cycle(facts_of(item), at_ms))

    def expected_micro(self, item: Item, amount_minor: int) -> int:
        # A line below zero is what we pay.
        return self._schedule.expected_micro(facts_of(item), -amount_minor)


def facts_of(item: Item) -> settlement.Facts:
    return settlement.Facts(
        network=item.network,
        program=item.program,
        currency=item.currency,
        bin=item.bin,
        mcc=item.mcc,
        card_present=item.card_present,
    )


async def convert(
    connection: asyncpg.Connection, config: Config, batch: Batch, settling: Settling
) -> Conversion | None:
    """How the batch's money becomes the currency that its program settles in; None where it is
    that already. Raises: NoRoute."""
    into = config.settlement.currencies.get(batch.program, batch.currency)
    if into == batch.currency:
        return None
    due = settling.due_minor
    found = routes.offers(due, batch.currency, into, config.fx)
    if not found:
        raise NoRoute(f"no [[fx]] row converts {batch.currency} into {into}")
    best = found[0]
    quote = next(
        q for q in config.fx if (q.name, q.of, q.into) == (best.name, batch.currency, into)
    )
    items_minor, counter_minor = await counters(connection, batch.id, into)
    return Conversion(
        source=best.name,
        into=into,
        rate=best.rate,
        amount_minor=due,
        converted_minor=best.converted_minor,
        cost_minor=best.cost_minor,
        interchange_minor=routes.converted(settling.interchange_minor, quote),
        fees_minor=routes.converted(settling.fees_minor, quote),
        closed_minor=routes.converted(items_minor, quote),
        counter_minor=counter_minor,
        offers=tuple(
            (one.name, one.rate, one.converted_minor, one.cost_minor, one.moved_minor)
            for one in found
        ),
    )


async def journal(
    state: RedisHotState, batch_id: str, body: LedgerBody, attempt: str, answer_ttl_s: int
) -> Verdict:
    """Say it to the hot state, which says it to the books. Said again it is the same word, as long
    as the answer lives; after that the books refuse a second one. Raises: HotStateError."""
    facts = dict(body.facts)
    note = Note(
        shard_of=batch_id,
        message_id=message_id(batch_id),
        # Said again with other numbers it is a mismatch: what was journalled first stands.
        fingerprint=identity.fingerprint(batch_id, *(facts[name] for name in SAME)),
        attempt=attempt,
        deadline_ms=0,
        verdict="noted",
        planned=Reason.APPROVED,
        answer_ttl_s=answer_ttl_s,
        body=encode_body(body),
    )
    return await state.note(note, TIMEOUT_S)


SAME = ("currency", "moved_minor", "interchange_minor", "fees_minor")


def message_id(batch_id: str) -> str:
    """A batch is settled once for good: the books have each such id once."""
    return f"settlement:{batch_id}"


class Batching:
    """Takes lines and closes batches, as long as it runs."""

    def __init__(
        self, config: Config, redis_url: str, dsn: str, metrics: SettlementMetrics,
        now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self._settings, self._terms = config.settlement, ConfiguredTerms(config)
        self._redis_url, self._dsn, self._metrics = redis_url, dsn, metrics
        self._now_ms = now_ms

    async def run(self) -> None:
        """Until it is cancelled; whatever is wrong is counted, and tried again."""
        while True:
            try:
                await self.look(for_ever=True)
            except Exception as error:  # the writer beside us goes on, and whoever looks is told
                log.warning("settlement_waits", error=type(error).__name__)
            self._metrics.failed()
            await asyncio.sleep(self._settings.every_s)

    async def look(self, *, for_ever: bool = False) -> None:
        """Once, or until something is away.

        Raises: OSError, redis.RedisError, asyncpg.PostgresError, asyncpg.InterfaceError.
        """
        source = Source(self._redis_url, STREAMS)
        try:
            connection = await connect(self._dsn, name="authz settle batches")
            try:
                while True:
                    await self._step(connection, source)
                    if not for_ever:
                        return
                    await asyncio.sleep(self._settings.every_s)
            finally:
                with suppress(Exception):
                    await connection.close(timeout=2)
        finally:
            await source.close()

    async def _step(self, connection: asyncpg.Connection, source: Source) -> None:
        # In this order: what was journalled before `until` is in the books when they are read.
        until_ms = self._now_ms() - self._settings.grace_s * 1000
        entries, waits_s = await source.lag()
        if entries:
            until_ms = min(until_ms, self._now_ms() - int(waits_s * 1000) - 1)
        batcher = Batcher(connection, self._terms, self._now_ms)
        lines = await batcher.take()
        closed = await batcher.close_due(until_ms)
        for id in closed:
            log.info("batch_closed", batch=id)
        self._metrics.did(lines, len(closed))
        self._metrics.stands(await standing(connection), self._now_ms())
