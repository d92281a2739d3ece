"""The story of a cut-over: a network's business day ends, and another begins.

The day is kept in the hot state. The engine that was told knows it at once, the others when they
next look at the store, twice a second. It decides under which day an act is counted, nothing else.
"""

from authz import identity
from authz.engine import Engine, Outcome
from authz.hot.acts import CutOver as Act
from authz.hot.errors import HotStateError
from authz.hot.networks import Days
from ledger.journal import CutOverBody, encode_body
from rules.notices import CutOver
from rules.reason import Reason


async def cut_over(engine: Engine, told: CutOver, received: float) -> Outcome:
    """Move the day. There is nothing to withdraw: the network asks again until it is acknowledged,
    and that is the same act."""
    if not engine.in_window(told.sent_at, engine.settings.advice_window_s):
        return Outcome(reason=Reason.TOO_OLD)
    budget = engine.budget(received)
    id = message_id(told)
    act = Act(
        message_id=id,
        fingerprint=identity.fingerprint(str(told.day)),
        attempt=engine.attempt(),
        deadline_ms=budget.store_deadline_ms(engine.store_offset_ms),
        network=told.network,
        day=told.day,
        today=engine.today(),
        answer_ttl_s=engine.answer_ttl_s(engine.settings.advice_window_s),
        body=encode_body(
            CutOverBody(
                told.network, told.mti, told.stan, told.sent_at, told.forwarder_id, told.day
            )
        ),
    )
    try:
        verdict = await engine.hot.cut_over(act, budget.left_s())
    except HotStateError as trouble:
        return engine.no_verdict(trouble, None)
    engine.observer.hot_call(verdict.kind)
    if verdict.kind == "mismatch":
        return Outcome(reason=Reason.DUPLICATE, message_id=id)
    engine.learn_days(told.network, Days.told(verdict.detail))
    # A day that is over does not begin again: whoever says so is far behind, or mistaken.
    reason = Reason.TOO_OLD if verdict.kind == "older" else Reason.APPROVED
    return Outcome(reason=reason, message_id=id, replayed=verdict.replayed)


def message_id(told: CutOver) -> str:
    return identity.message_id(
        network=told.network,
        mti=told.mti,
        stan=told.stan,
        sent_at=told.sent_at,
        acquirer_id=told.forwarder_id,
        subject="",
    )
