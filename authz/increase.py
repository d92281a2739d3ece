"""The story of an increment: more is asked for on an authorization that was given before.

It is judged like a request, of what it adds; the ceilings apply to the authorization's total. One
whose authorization has not come stands alone, and is taken in by it later.
"""

from msgspec.structs import replace

from authz import identity
from authz.authorize import (
    DAY_S,
    authorization_body,
    authorize,
    checked,
    fingerprint,
    may_be_referred,
    message_id,
    renew,
)
from authz.budget import Budget
from authz.cards import Known
from authz.engine import Engine, Outcome
from authz.hot.acts import Apply, Decision, Stale, Withdraw
from authz.hot.errors import HotStateError
from authz.hot.record import Act, touched_by
from authz.hot.totals import AUTHORIZATIONS
from ledger.journal import IncrementBody, encode_body
from rules.counters import lasting
from rules.decide import conclude
from rules.facts import Increment
from rules.price import plan_of
from rules.reason import Reason


async def increase(engine: Engine, increment: Increment, received: float) -> Outcome:
    """May this authorization hold that much more?"""
    asked = increment.asked
    if not engine.in_window(asked.sent_at, engine.settings.answer_window_s):
        return Outcome(reason=Reason.TOO_OLD)
    if engine.spool.full:
        return Outcome(reason=Reason.UNAVAILABLE)
    budget = engine.budget(received)
    attempt = engine.attempt()
    act: Apply | None = None
    try:
        known = await engine.known(asked.card_key, budget)
        if known is None:
            return await authorize(engine, asked, received)  # declined like any other
        await engine.day_of(asked.network, budget)
        if engine.checks is not None:
            asked = await checked(engine, asked, known, budget)
            increment = replace(increment, asked=asked)
        act = plan_act(engine, increment, known, attempt, budget)
        verdict = await engine.hot.apply(act, budget.left_s())
        if isinstance(verdict, Stale):
            known = await renew(engine, asked.card_key, known, verdict, budget)
            if engine.checks is not None:
                asked = await checked(engine, asked, known, budget)
                increment = replace(increment, asked=asked)
            act = plan_act(engine, increment, known, attempt, budget)
            verdict = await engine.hot.apply(act, budget.left_s())
        if isinstance(verdict, Stale):
            engine.observer.hot_call("stale_twice")
            return Outcome(reason=Reason.UNAVAILABLE)
    except HotStateError as trouble:
        return engine.no_verdict(trouble, withdrawal(act) if act is not None else None)
    engine.observer.hot_call(verdict.kind)
    reason = conclude(verdict.planned, verdict.kind, verdict.detail)
    approved = reason is Reason.APPROVED
    return Outcome(
        reason=reason,
        message_id=act.message_id,
        approval_code=identity.approval_code(act.message_id) if approved else "",
        held_minor=verdict.held_minor,
        authorization_id=verdict.authorization_id,
        replayed=verdict.replayed,
        undo=withdrawal(act) if approved else None,
    )


def plan_act(
    engine: Engine, increment: Increment, known: Known, attempt: str, budget: Budget
) -> Apply:
    """Judge it on facts, and say what the hot state is to do about it."""
    # Never approved in part, so what a rule caps is declined.
    asked, card, account = replace(increment.asked, partial_ok=False), known.card, known.account
    priced, plan = plan_of(asked, card, account, engine.lists, engine.judge, in_part=True)
    id = message_id(asked, card.card_id)
    limits = lasting(plan.limits, engine.linger_s)
    subject = card.limit_subject
    references = identity.references_of_increment(increment, identity.approval_code(id), subject)
    return Apply(
        kind="increment",
        account_id=account.account_id,
        card_id=card.card_id,
        message_id=id,
        fingerprint=fingerprint(asked),
        attempt=attempt,
        deadline_ms=budget.store_deadline_ms(engine.store_offset_ms),
        act=Act(
            "more",
            id,
            asked.sent_at,
            asked.transaction_minor,
            asked.transaction_currency,
            priced.settle_minor,
            identity.own_reference(asked, subject),
        ),
        references=references,
        exact=identity.exact_among(references),
        tally=engine.tally(asked.network, AUTHORIZATIONS),
        review=Reason.REFERRED if may_be_referred(plan) else "",
        currency=account.currency,
        expires_at=asked.sent_at + engine.holds.of(asked).days * DAY_S,
        touched=touched_by(limits),
        decision=Decision(
            planned=plan.reason,
            credit_line_minor=account.credit_line_minor,
            account_version=known.account_version,
            card_version=known.card_version,
            lists_version=engine.lists.version,
            limits=limits,
        ),
        answer_ttl_s=engine.answer_ttl_s(engine.settings.answer_window_s),
        body=encode_body(
            IncrementBody(
                authorization_body(priced, plan, account.credit_line_minor, engine.judge.version),
                increment.original.approval_code,
                references,
            )
        ),
    )


def withdrawal(act: Apply) -> Withdraw:
    """What takes this attempt back."""
    return Withdraw(
        account_id=act.account_id,
        shard_of=act.account_id,
        message_id=act.message_id,
        attempt=act.attempt,
        answer_ttl_s=act.answer_ttl_s,
    )
