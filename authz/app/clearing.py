"""Clearing files become money: each record ends in one named outcome, whatever dies in between.

A file is written down whole (clearing_plan.py), and then gone through in phases: what stands alone,
chargebacks, and what takes an earlier record back. Each record asks the hot state for one act whose
id is its own for good, so asking again moves nothing and gets the same answer. Cards of one number
are gone through in the file's order, others beside one another.
(tests/authz/app/test_clearing.py)
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from itertools import count
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis

from authz import identity
from authz.app.clearing_acts import (
    ANSWER_TTL_S,
    Asked,
    FileFacts,
    to_charge_back,
    to_post,
    to_take_back,
)
from authz.app.clearing_compare import Looked, compared, look
from authz.app.clearing_find import (
    AUTHORIZATION,
    DETAIL,
    own_act,
    read_record,
)
from authz.app.clearing_originals import Originals, Row
from authz.app.clearing_plan import CHARGES_BACK, PHASES, TAKES_BACK
from authz.budget import Budget
from authz.cards import Known
from authz.engine import Engine
from authz.hot import keys
from authz.hot.acts import Note, Verdict
from authz.hot.record import Record, fold, taken_back
from ledger.chart import UNASSIGNED, Role
from ledger.cleared import OTHER_CONTENT, Cleared, Concluded, Original, Waiting
from ledger.clearing.outcome import BEYOND, OVERDUE, Outcome, of_purchase
from ledger.clearing.posting import movement
from ledger.clearing.record import ClearedItem, Kind, unpack_item
from ledger.journal import encode_body

PAGE = 500  # records between two writes of what became of them: a second or so is done twice
UNDER_WAY = 64  # cards at once: they share one connection, and engines share the store
TIMEOUT_S = 30.0  # of one call; nobody waits for it at a till

# Where a movement without a cardholder goes, and what it is called in the books.
MOVES: dict[Outcome, tuple[Role, str]] = {
    Outcome.UNMATCHED: (Role.UNMATCHED, "unmatched"),
    Outcome.FEE: (Role.FEES, "fee"),
    Outcome.REPRESENTED: (Role.DISPUTES, "dispute"),
}
# Of these, messages tell too; of disputes and fees they tell of no network.
TOLD_ONLINE = (Kind.PRESENTMENT, Kind.REFUND, Kind.CASH)
ENDINGS = frozenset({"expired", "released"})

T = TypeVar("T")


class Poster:
    """One file's records, posted. `at` is called between steps, for tests that kill it there."""

    def __init__(
        self, engine: Engine, client: Redis, cleared: Cleared, file: FileFacts,
        by_file: frozenset[str], at: Callable[[str], None] = lambda place: None,
    ) -> None:  # fmt: skip
        self._engine, self._client, self._cleared = engine, client, cleared
        self._file, self._by_file, self._at = file, by_file, at
        self._room = asyncio.Semaphore(UNDER_WAY)
        self._originals = Originals(cleared)
        self._noted: dict[str, str] = {}  # by message id: detail of what a note has moved

    async def run(self) -> int:
        """All that has no outcome yet; how many those were. Raises: HotStateError, RedisError,
        asyncpg.PostgresError, OSError, and it may be run again."""
        done = 0
        for phase in PHASES:
            while rows := await self._cleared.waiting(self._file.file_id, phase, PAGE):
                told = await self._page(phase, [(row, unpack_item(row.told)) for row in rows])
                self._at("posted")
                await self._cleared.conclude(self._file.file_id, told)
                self._at("concluded")
                done += len(rows)
        await self._cleared.done(self._file.file_id)
        return done

    async def _page(self, phase: int, rows: list[Row]) -> list[Concluded]:
        if phase in (CHARGES_BACK, TAKES_BACK):
            await self._originals.find(rows)
        self._noted = await self._notes([row for row, _ in rows])
        moves = [one for one in rows if self._moves(one[1])]
        looks = (self._look(row, item) for row, item in rows if not self._moves(item))
        looked = await together(looks)
        by_card: dict[str, list[Row]] = {}
        for one in moves:
            # What takes back one record comes one by one, also where it names another card: each
            # must know what is left.
            original = one[1].arn if phase == TAKES_BACK else ""
            by_card.setdefault(original or one[0].card_key or one[0].item_key, []).append(one)
        done = await together(self._in_order(some) for some in by_card.values())
        told = [one for some in done for one in some if isinstance(one, Concluded)]
        looked += [one for some in done for one in some if isinstance(one, Looked)]
        return [*told, *await self._compare(looked)]

    def _moves(self, item: ClearedItem) -> bool:
        """Whether the file is what moves its money, unless messages have."""
        return item.network in self._by_file or item.kind not in TOLD_ONLINE

    async def _in_order(self, rows: list[Row]) -> list[Concluded | Looked]:
        async with self._room:
            return [await self._one(row, item) for row, item in rows]

    async def _one(self, row: Waiting, item: ClearedItem) -> Concluded | Looked:
        """What became of it; or what was found, where only that is to be compared."""
        known = await self._known(row)
        match item.kind:
            case Kind.FEE:
                return await self._move(row, item, known, Outcome.FEE)
            case Kind.SECOND_PRESENTMENT:
                return await self._move(row, item, known, Outcome.REPRESENTED)
        if row.message_id in self._noted:
            # By a run that was cut short: a card, or a rate, of since then bills it not once more.
            detail = self._noted[row.message_id]
            return await self._move(row, item, known, Outcome.UNMATCHED, detail)
        looked, original = Looked(row.record, item), None
        if item.reversal or item.kind is Kind.CHARGEBACK:
            original = self._originals.of(item, row, disputed=not item.reversal)
        if item.kind in TOLD_ONLINE and original is None:
            looked = await look(self._client, item, row, known, self._file)
            if looked.is_online(row.message_id):
                return looked
        if row.detail == OTHER_CONTENT and not item.reversal:  # of one ARN in parts, maybe
            return await self._move(row, item, known, Outcome.UNMATCHED, OTHER_CONTENT)
        if item.reversal:
            return await self._take_back(row, item, known, original)
        if known is None:
            return await self._move(row, item, known, Outcome.UNMATCHED, "no card of ours")
        asked = await self._to_ask(row, item, known, original, looked.more)
        if asked is None:
            return await self._move(row, item, known, Outcome.UNMATCHED, "no rate")
        verdict = await self._apply(asked)
        if verdict.replayed:
            asked = await self._as_posted(asked, verdict)
        outcome, detail = await self._outcome(item, asked, verdict)
        if outcome is Outcome.UNMATCHED:
            return await self._move(row, item, known, outcome, detail)
        return concluded(row, outcome, detail, asked, verdict)

    async def _to_ask(
        self, row: Waiting, item: ClearedItem, known: Known, original: Original | None,
        more: tuple[identity.Rung, ...],
    ) -> Asked | None:  # fmt: skip
        """At today's price; where there is none, at that of a run that was cut short."""
        facts = self._engine, item, row, known, self._file
        asking: partial[Asked | None] = partial(to_post, *facts, more)
        if item.kind is Kind.CHARGEBACK:
            asking = partial(to_charge_back, *facts, original)
        asked = asking()
        if asked is None:
            before = await own_act(self._client, known.account.account_id, row.message_id)
            asked = asking(billed_minor=before.billed) if before is not None else None
        return asked

    async def _known(self, row: Waiting) -> Known | None:
        if not row.card_key:
            return None
        clock = self._engine.clock
        return await self._engine.known(row.card_key, Budget(clock, clock.monotonic(), TIMEOUT_S))

    async def _apply(self, asked: Asked) -> Verdict:
        self._at("asked")
        verdict = await self._engine.hot.apply(asked.act, TIMEOUT_S)
        assert isinstance(verdict, Verdict)  # only an increment is planned, and can be stale
        return verdict

    async def _outcome(
        self, item: ClearedItem, asked: Asked, verdict: Verdict
    ) -> tuple[Outcome, str]:
        """What the hot state's word means for the file."""
        if verdict.kind == "mismatch" and not await self._was_done(asked):
            return Outcome.UNMATCHED, "the account has it in another currency"
        if item.kind is Kind.CHARGEBACK:
            return Outcome.CHARGED_BACK, ""
        too_far = verdict.kind in (BEYOND, OVERDUE)
        detail = verdict.kind if too_far else verdict.detail
        if item.kind is Kind.REFUND:
            return Outcome.REFUNDED, detail
        found, ended = verdict.kind not in ("unmatched", "mismatch"), False
        released = verdict.held_minor
        if found and released == 0 and asked.billed_minor:
            record = await self._record(asked, verdict.authorization_id)
            if record is not None:
                found = bool(record.original) or any(act.kind == "set" for act in record.acts)
                ended = taken_back(record) or any(act.kind in ENDINGS for act in record.acts)
                # Asked again after its answer's life it moves nothing: then what it moved before.
                released = without(record, asked.act.message_id) - record.holds
        act = asked.act.act
        outcome = of_purchase(
            found=found,
            in_part=act.kind == "post" or act.parts > 1,
            ended=ended,
            billed_minor=asked.billed_minor,
            released_minor=released,
        )
        return outcome, detail

    async def _as_posted(self, asked: Asked, verdict: Verdict) -> Asked:
        """At the price of the first time: rates and fees may be others since."""
        record = await self._record(asked, verdict.authorization_id)
        for act in record.acts if record is not None else ():
            if act.message_id == asked.act.message_id and act.billed != asked.billed_minor:
                return replace(asked, billed_minor=act.billed, fee_minor=0, cross_border_minor=0)
        return asked

    async def _was_done(self, asked: Asked) -> bool:
        """Whether it stands alone already. Asked again after its answer's life, where what it says
        names money of another direction too, the store only says that both do not fit."""
        record = await self._record(asked, asked.act.message_id)
        return record is not None and has_act(record, asked.act.message_id)

    async def _record(self, asked: Asked, authorization_id: str) -> Record | None:
        return await read_record(self._client, asked.act.account_id, authorization_id)

    # -- what takes an earlier record back -------------------------------------------------

    async def _take_back(
        self, row: Waiting, item: ClearedItem, known: Known | None, original: Original | None
    ) -> Concluded:
        if original is None:
            return await self._move(row, item, known, Outcome.UNMATCHED, "takes back no record")
        before = self._originals.taken_of(original)
        asked = to_take_back(self._engine, item, row, known, self._file, original, before)
        if asked is None:
            return await self._move(row, item, known, Outcome.UNMATCHED, "takes back too much")
        verdict = await self._apply(asked)
        if verdict.kind != "reversed":
            return await self._move(row, item, known, Outcome.UNMATCHED, "takes back no record")
        self._originals.take(original, item.transaction_minor)
        of = original.message_id
        return concluded(row, Outcome.REVERSED, "", asked, verdict)._replace(of_message=of)

    # -- what moves nobody's money ---------------------------------------------------------

    async def _notes(self, rows: list[Waiting]) -> dict[str, str]:
        """Which of them have moved already, with the detail where it is still known. The store
        knows its answer for a day; whoever comes back later finds it in the books."""
        noted = dict.fromkeys(await self._cleared.moved(row.message_id for row in rows), "")
        async with self._client.pipeline(transaction=False) as pipeline:
            for row in rows:
                pipeline.get(keys.answer(keys.shard_of(row.item_key), row.message_id))
            answers = await pipeline.execute()
        for row, packed in zip(rows, answers, strict=True):
            given = msgspec.msgpack.decode(packed) if packed else None
            if given and given[AUTHORIZATION] == "":  # else it is an act's, of the same shard
                noted[row.message_id] = given[DETAIL]
        return noted

    async def _move(
        self, row: Waiting, item: ClearedItem, known: Known | None, outcome: Outcome,
        detail: str = "",
    ) -> Concluded:  # fmt: skip
        """Between the network and an account of the ledger, journalled as a note."""
        role, what = MOVES[outcome]
        account_id = known.account.account_id if known else ""
        file = self._file
        facts = (
            ("bin", row.bin),
            ("account", account_id),
            ("file", file.file_id),
            ("record", str(row.record)),
            ("business_date", file.business_date),
            ("why", detail),
        )
        body = movement(
            item,
            role,
            what=what,
            program=known.account.program if known else UNASSIGNED,
            key=row.item_key,
            source=file.source,
            facts=tuple(fact for fact in facts if fact[1]),
        )
        if row.message_id not in self._noted:
            self._at("asked")
            note = Note(
                shard_of=row.item_key, message_id=row.message_id,
                fingerprint=identity.fingerprint(row.item_key, what),
                attempt=self._engine.attempt(), deadline_ms=0, verdict=str(outcome),
                planned="", answer_ttl_s=ANSWER_TTL_S, body=encode_body(body), detail=detail,
            )  # fmt: skip
            verdict = await self._engine.hot.note(note, TIMEOUT_S)
            if verdict.kind == "mismatch":
                # The act that could not be posted has left its answer there.
                note = replace(note, shard_of=elsewhere(row.item_key))
                await self._engine.hot.note(note, TIMEOUT_S)
        return Concluded(row.record, outcome, detail, account_id)

    # -- what messages posted --------------------------------------------------------------

    async def _look(self, row: Waiting, item: ClearedItem) -> Looked:
        async with self._room:
            return await look(self._client, item, row, await self._known(row), self._file)

    async def _compare(self, looked: list[Looked]) -> list[Concluded]:
        """Nothing moves: each online posting is agreed with once."""
        taken: set[str] = set()
        for network in {it.item.network for it in looked}:
            ids = [p.message_id for it in looked if it.item.network == network for p in it.postings]
            taken |= await self._cleared.agreed(network, ids)
        return [compared(it, taken) for it in looked]


def elsewhere(item_key: str) -> str:
    """A name that stands in another shard."""
    names = (f"{item_key}/{number}" for number in count(1))
    return next(name for name in names if keys.shard_of(name) != keys.shard_of(item_key))


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All of it; where one fails, the others are called off before anybody hears of it."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def has_act(record: Record, message_id: str) -> bool:
    return any(act.message_id == message_id for act in record.acts)


def without(record: Record, message_id: str) -> int:
    """What a record would hold if that act had not come."""
    others = [act for act in record.acts if act.message_id != message_id]
    return fold(replace(record, acts=others))[0]


def concluded(
    row: Waiting, outcome: Outcome, detail: str, asked: Asked, verdict: Verdict
) -> Concluded:
    # Of what was done before and does not fit: it stands alone, under its own id.
    authorization_id = verdict.authorization_id or asked.act.message_id
    return Concluded(
        row.record, outcome, detail, asked.act.account_id, authorization_id,
        asked.billed_minor, asked.currency, asked.fee_minor, asked.cross_border_minor,
    )  # fmt: skip
