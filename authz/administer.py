"""The story of an administrative advice: acknowledged, and taken note of.

What it says is free text, for people, and may hold a card number. So the journal keeps who said it,
when, and which elements it had; none of their content (tests/scenarios/test_administrative.py).
"""

from authz import identity
from authz.authorize import withdrawal
from authz.engine import Engine, Outcome
from authz.hot.acts import Note
from authz.hot.errors import HotStateError
from authz.hot.keys import name_of_network
from ledger.journal import AdministrativeBody, encode_body
from rules.notices import Administrative
from rules.reason import Reason


async def administer(engine: Engine, told: Administrative, received: float) -> Outcome:
    """Take note, once. One too old to be told from its repeat is acknowledged and left out."""
    if not engine.in_window(told.sent_at, engine.settings.advice_window_s):
        return Outcome(reason=Reason.APPROVED)
    budget = engine.budget(received)
    id = identity.message_id(
        network=told.network,
        mti=told.mti,
        stan=told.stan,
        sent_at=told.sent_at,
        acquirer_id=told.acquirer_id or told.forwarder_id,
        subject="",
    )
    note = Note(
        shard_of=name_of_network(told.network),
        message_id=id,
        # Not of its text: a plain hash of a card number would find that card by trying.
        fingerprint=identity.fingerprint(*map(str, told.elements)),
        attempt=engine.attempt(),
        deadline_ms=budget.store_deadline_ms(engine.store_offset_ms),
        verdict="noted",
        planned=Reason.APPROVED,
        answer_ttl_s=engine.answer_ttl_s(engine.settings.advice_window_s),
        body=encode_body(
            AdministrativeBody(
                told.network, told.mti, told.stan, told.sent_at, told.acquirer_id,
                told.forwarder_id, told.elements,
            )
        ),
    )  # fmt: skip
    try:
        verdict = await engine.hot.note(note, budget.left_s())
    except HotStateError as trouble:
        return engine.no_verdict(trouble, withdrawal(note))
    engine.observer.hot_call(verdict.kind)
    mismatch = verdict.kind == "mismatch"
    reason = Reason.DUPLICATE if mismatch else Reason.APPROVED
    return Outcome(reason=reason, message_id=id, replayed=verdict.replayed)
