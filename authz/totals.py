"""The story of a reconciliation: what we counted on a day, and whether the network counted as much.

The numbers are read from the hot state, one read of each shard, and the answer is remembered like
any other: a repeat is told what the first was told. And the task that drops totals of days long
over.
"""

import asyncio
from typing import Protocol

import msgspec
import structlog

from authz import identity
from authz.authorize import withdrawal
from authz.clock import day_named
from authz.engine import Engine, Outcome
from authz.hot import keys
from authz.hot.acts import Note
from authz.hot.errors import HotStateError
from authz.hot.totals import KINDS, Totals
from ledger.journal import ReconciliationBody, encode_body
from rules.notices import DAYS_KEPT, Balance, Reconciliation
from rules.reason import Reason

log = structlog.get_logger()

MONEY = ("credits", "credit_reversals", "debits", "debit_reversals")
IN_BALANCE, OUT_OF_BALANCE = "in_balance", "out_of_balance"
FORGET_S = 60.0  # between looks at the calendar
TIMEOUT_S = 2.0  # nobody waits for it

_decode = msgspec.json.Decoder(dict[str, int]).decode


async def total_up(engine: Engine, asked: Reconciliation, received: float) -> Outcome:
    """Say what was counted. Nothing moves, but the answer is journalled with what was told."""
    if not engine.in_window(asked.sent_at, engine.settings.advice_window_s):
        return Outcome(reason=Reason.TOO_OLD)
    budget = engine.budget(received)
    note: Note | None = None
    try:
        in_force = await engine.day_of(asked.network, budget)
        days = engine.days[asked.network]
        day = asked.day or (days.ended if days is not None else in_force)
        if day > in_force:
            return Outcome(reason=Reason.FORMAT_ERROR)  # it has not begun
        ours = by_name(await engine.readings.totals(asked.network, day, asked.currency, budget))
        note = note_of(engine, asked, day, ours, budget.store_deadline_ms(engine.store_offset_ms))
        verdict = await engine.hot.note(note, budget.left_s())
    except HotStateError as trouble:
        return engine.no_verdict(trouble, withdrawal(note) if note is not None else None)
    engine.observer.hot_call(verdict.kind)
    if verdict.kind == "mismatch":
        return Outcome(reason=Reason.DUPLICATE, message_id=note.message_id)
    if verdict.kind == OUT_OF_BALANCE and not verdict.replayed and engine.lines.left():
        log.warning("out_of_balance", network=asked.network, day=day_named(day),
                    currency=asked.currency)  # fmt: skip
    said, _, numbers = verdict.detail.partition(" ")
    return Outcome(
        reason=Reason.APPROVED,
        message_id=note.message_id,
        replayed=verdict.replayed,
        balance=Balance(int(said), _decode(numbers), verdict.kind == OUT_OF_BALANCE),
    )


def by_name(totals: Totals) -> dict[str, int]:
    """Our own counts. Inquiries and authorizations move nothing, so they have no amount."""
    ours = {f"{kind}_number": totals[kind][0] for kind in KINDS}
    amounts = {kind: totals[kind][1] for kind in MONEY}
    ours |= {f"{kind}_amount": amount for kind, amount in amounts.items()}
    came = amounts["credits"] + amounts["debit_reversals"]
    return ours | {"net": came - amounts["debits"] - amounts["credit_reversals"]}


def note_of(
    engine: Engine, asked: Reconciliation, day: int, ours: dict[str, int], deadline_ms: int
) -> Note:
    """What is remembered and journalled: both sides' numbers."""
    differs = any(value != ours.get(name, 0) for name, value in asked.told)
    return Note(
        shard_of=keys.name_of_network(asked.network),
        message_id=identity.message_id(
            network=asked.network,
            mti=asked.mti,
            stan=asked.stan,
            sent_at=asked.sent_at,
            acquirer_id=asked.acquirer_id or asked.forwarder_id,
            subject="",
        ),
        fingerprint=identity.fingerprint(str(asked.day), asked.currency, str(asked.told)),
        attempt=engine.attempt(),
        deadline_ms=deadline_ms,
        verdict=OUT_OF_BALANCE if differs else IN_BALANCE,
        planned=Reason.APPROVED,
        answer_ttl_s=engine.answer_ttl_s(engine.settings.advice_window_s),
        body=encode_body(
            ReconciliationBody(
                asked.network, asked.mti, asked.stan, asked.sent_at, day, asked.currency,
                asked.told, tuple(ours.items()),
            )
        ),
        detail=f"{day} {msgspec.json.encode(ours).decode()}",
    )  # fmt: skip


class Ready(Protocol):
    @property
    def ready(self) -> bool: ...


class Forgetting:
    """The task that drops the totals of days that are over for long, once a day."""

    def __init__(self, engine: Engine, keeper: Ready) -> None:
        self._engine = engine
        self._keeper = keeper
        self._done = 0  # the day on which it was done last

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(FORGET_S)
            if self._keeper.ready:
                try:
                    await self.tick()
                except HotStateError as trouble:
                    log.warning("totals_not_dropped", error=type(trouble).__name__)

    async def tick(self) -> int:
        """Returns how many were dropped. Raises: HotStateError; it is tried again then."""
        today, dropped = self._engine.today(), 0
        if today != self._done:
            for shard in keys.ALL_SHARDS:
                first = today - DAYS_KEPT
                dropped += await self._engine.hot.forget_totals(shard, first, TIMEOUT_S)
            self._done = today
        return dropped
