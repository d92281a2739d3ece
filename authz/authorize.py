"""The story of an authorization, top to bottom."""

from authz import identity
from authz.budget import Budget, waited_s
from authz.cards import Known
from authz.engine import Engine, Outcome
from authz.hot.acts import Authorize, Note, Short, Stale, Verdict, Withdraw
from authz.hot.errors import HotStateError
from authz.hot.record import AT_APPROVAL, AT_ONCE
from authz.hot.totals import AUTHORIZATIONS, INQUIRIES
from ledger.journal import AuthorizationBody, encode_body
from rules.counters import lasting
from rules.decide import conclude
from rules.facts import EXACT_MAX, INQUIRY, AuthorizationRequest, Funds, Plan
from rules.holds import HoldRule, hold_for
from rules.price import Price, plan_of
from rules.reason import REFERRED, Reason

DAY_S = 86_400


async def authorize(engine: Engine, request: AuthorizationRequest, received: float) -> Outcome:
    """May this card spend this much, here, now?

    One await when warm: before it nothing has happened, after it everything has, the
    journal entry included. The cold ones are named: a card not yet in memory, a network
    not yet heard of, one more plan where the first was made from old facts, and more of a program's
    ceiling where its shard has too little. Where optional checks are configured they are one more.
    """
    if not engine.in_window(request.sent_at, engine.settings.answer_window_s):
        return Outcome(reason=Reason.TOO_OLD)
    if engine.spool.full:
        return Outcome(reason=Reason.UNAVAILABLE)
    budget = engine.budget(received)
    attempt = engine.attempt()
    act: Authorize | Note | None = None
    try:
        known = await engine.known(request.card_key, budget)
        if known is None:
            act = note_unknown(engine, request, attempt, budget)
            verdict = await engine.hot.note(act, budget.left_s())
        else:
            await engine.day_of(request.network, budget)
            if engine.checks is not None:
                request = await checked(engine, request, known, budget)
            started = engine.clock.monotonic()
            act = plan_act(engine, request, known, attempt, budget)
            asked = engine.clock.monotonic()
            engine.observer.stage("decide", asked - started)
            answer = await engine.hot.authorize(act, budget.left_s())
            engine.observer.stage("hot", engine.clock.monotonic() - asked)
            if isinstance(answer, Stale):
                known = await renew(engine, request.card_key, known, answer, budget)
                if engine.checks is not None:
                    request = await checked(engine, request, known, budget)
                act = plan_act(engine, request, known, attempt, budget)
                answer = await engine.hot.authorize(act, budget.left_s())
            if isinstance(answer, Short):
                answer = await engine.quotas.ask_again(
                    engine.hot, act, act.limits, act.lists_version, answer,
                    engine.hot.authorize, budget,
                )  # fmt: skip
            if isinstance(answer, Stale | Short):
                return unsettled(engine, answer)
            verdict = answer
            if engine.shadow.judge is not None and not verdict.replayed:
                facts = known.card, known.account, engine.lists
                engine.shadow.note(request, *facts, verdict.planned)
    except HotStateError as trouble:
        return engine.no_verdict(trouble, withdrawal(act) if act is not None else None)
    engine.observer.hot_call(verdict.kind)
    return outcome_of(act, verdict)


def unsettled(engine: Engine, answer: Stale | Short) -> Outcome:
    """Facts that move twice in a few milliseconds, or quotas: the repeat will see them settled."""
    engine.observer.hot_call("stale_twice" if isinstance(answer, Stale) else "short")
    return Outcome(reason=Reason.UNAVAILABLE)


async def checked(
    engine: Engine, request: AuthorizationRequest, known: Known, budget: Budget
) -> AuthorizationRequest:
    """The request with what optional checks tell of it; asked once, and only where there is
    something to decide: what card, account and lists decline needs no opinion. A rule's word may
    hang on what they tell, so it does not count here."""
    if request.skipped:
        return request
    plan = plan_of(request, known.card, known.account, engine.lists, engine.judge)[1]
    if plan.reason != Reason.APPROVED and not plan.rule:
        return request
    assert engine.checks is not None
    asked = engine.clock.monotonic()
    about = message_id(request, known.card.card_id) + fingerprint(request)
    request = await engine.checks.ask(request, known, about, budget)
    took_s = engine.clock.monotonic() - asked
    waited_s.set(waited_s.get() + took_s)
    engine.observer.stage("checks", took_s)
    return request


def plan_act(
    engine: Engine, request: AuthorizationRequest, known: Known, attempt: str, budget: Budget
) -> Authorize:
    """Judge the request on facts, and say what the hot state is to do about it."""
    card, account = known.card, known.account
    priced, plan = plan_of(request, card, account, engine.lists, engine.judge)
    id = message_id(request, card.card_id)
    code, subject = identity.approval_code(id), card.limit_subject
    rule = engine.holds.of(request)
    return Authorize(
        account_id=account.account_id,
        card_id=card.card_id,
        account_version=known.account_version,
        card_version=known.card_version,
        lists_version=engine.lists.version,
        message_id=id,
        fingerprint=fingerprint(request),
        attempt=attempt,
        deadline_ms=budget.store_deadline_ms(engine.store_offset_ms),
        planned=plan.reason,
        hold_minor=wanted(priced, plan, rule),
        billed_minor=priced.settle_minor if plan.hold_minor else 0,
        asked_minor=request.transaction_minor,
        asked_currency=request.transaction_currency,
        currency=account.currency,
        credit_line_minor=account.credit_line_minor,
        limits=lasting(plan.limits, engine.linger_s),
        references=identity.references_of_request(request, code, subject),
        sent_at=request.sent_at,
        expires_at=request.sent_at + rule.days * DAY_S,
        answer_ttl_s=engine.answer_ttl_s(engine.settings.answer_window_s),
        posts=moves(request, rule, by_file=engine.moves_by_file(request.network)),
        sign=request.sign,
        part_reference=identity.reference_of_part(code, subject) if request.partial_ok else "",
        inquires=request.purpose is INQUIRY,
        exact=2 if request.life_cycle else 1,
        tally=engine.tally(request.network, counted_as(engine, request)),
        review=REFERRED if may_be_referred(plan) else "",
        body=journal_body(priced, plan, account.credit_line_minor, engine.judge.version),
    )


def may_be_referred(plan: Plan) -> bool:
    """Whether a person may have to look at it: by a rule, or once its exception is used up."""
    used_up = plan.limits[0].reason if plan.exception and plan.limits else ""
    return REFERRED in (plan.reason, used_up)


def counted_as(engine: Engine, request: AuthorizationRequest) -> str:
    """What its network's totals count the message as; money that it moves they count besides."""
    if request.purpose is INQUIRY:
        return INQUIRIES
    posts = request.posts and not engine.moves_by_file(request.network)
    return "" if posts else AUTHORIZATIONS


def wanted(priced: Price, plan: Plan, rule: HoldRule) -> int:
    """What is to be held: what was asked with its fees and the uplift there is, or as much as a
    rule allows."""
    request, cost = priced.request, priced.settle_minor
    if plan.hold_minor < cost:
        return plan.hold_minor
    uplifted = cost + plan.uplift_minor if not request.posts else 0
    return min(max(hold_for(request, rule) + priced.fees.total_minor, uplifted), EXACT_MAX)


def moves(request: AuthorizationRequest, rule: HoldRule, *, by_file: bool) -> int:
    """When its money moves, beside its completions and what a clearing file says."""
    if request.posts and not by_file:
        return AT_ONCE
    return AT_APPROVAL if request.sign < 0 and rule.credit == "approval" else 0


async def renew(engine: Engine, card_key: str, known: Known, stale: Stale, budget: Budget) -> Known:
    """Take the newer facts in, for this plan and the next."""
    engine.observer.near_cache_stale()
    if stale.lists_version > engine.lists.version:
        await engine.refresh_lists(budget, stale.lists_version)
    known = known.renewed(stale)
    engine.cards.put(card_key, known)
    return known


def note_unknown(
    engine: Engine, request: AuthorizationRequest, attempt: str, budget: Budget
) -> Note:
    """A card that is not ours is declined, remembered and journalled like any other."""
    return Note(
        shard_of=request.card_key,
        message_id=message_id(request, request.card_key),
        fingerprint=fingerprint(request),
        attempt=attempt,
        deadline_ms=budget.store_deadline_ms(engine.store_offset_ms),
        verdict="declined",
        planned=Reason.CARD_UNKNOWN,
        answer_ttl_s=engine.answer_ttl_s(engine.settings.answer_window_s),
        body=journal_body(Price(request), Plan(Reason.CARD_UNKNOWN), 0),
    )


def withdrawal(act: Authorize | Note) -> Withdraw:
    """What takes this attempt back."""
    account_id = "" if isinstance(act, Note) else act.account_id
    return Withdraw(
        account_id=account_id,
        shard_of=act.shard_of if isinstance(act, Note) else account_id,
        message_id=act.message_id,
        attempt=act.attempt,
        answer_ttl_s=act.answer_ttl_s,
    )


def outcome_of(act: Authorize | Note, verdict: Verdict) -> Outcome:
    reason = conclude(verdict.planned, verdict.kind, verdict.detail)
    held = verdict.kind == "held"
    return Outcome(
        reason=reason,
        message_id=act.message_id,
        approval_code=identity.approval_code(act.message_id) if held else "",
        held_minor=verdict.held_minor,
        authorization_id=verdict.authorization_id,
        replayed=verdict.replayed,
        approved=verdict.approved,
        funds=funds_of(act, verdict) if verdict.kind == "told" else None,
        undo=withdrawal(act) if held else None,
    )


def funds_of(act: Authorize | Note, verdict: Verdict) -> Funds:
    """What there was when it was first asked: a repeat is told the same."""
    assert isinstance(act, Authorize)
    posted, _, available = verdict.detail.partition(" ")
    return Funds(act.currency, int(posted), int(available))


def message_id(request: AuthorizationRequest, subject: str) -> str:
    return identity.message_id(
        network=request.network,
        mti=request.mti,
        stan=request.stan,
        sent_at=request.sent_at,
        acquirer_id=request.acquirer_id,
        subject=subject,
    )


def fingerprint(request: AuthorizationRequest) -> str:
    """What may not differ between a request and its repeat: what was said, not what we made of it.
    Rates and fees may be others when the repeat comes."""
    return identity.fingerprint(
        request.purpose,
        str(request.transaction_minor),
        request.transaction_currency,
        str(request.amount_minor),
        request.currency,
        request.mcc,
        request.merchant_id,
        request.terminal_id,
    )


def journal_body(priced: Price, plan: Plan, credit_line_minor: int, policy: str = "") -> bytes:
    return encode_body(authorization_body(priced, plan, credit_line_minor, policy))


def authorization_body(
    priced: Price, plan: Plan, credit_line_minor: int, policy: str = ""
) -> AuthorizationBody:
    """The facts and the plan, as the journal keeps them. By position: it is twice as fast."""
    r = priced.request
    return AuthorizationBody(
        r.network, r.card_key, r.purpose, r.amount_minor, r.currency, r.transaction_minor,
        r.transaction_currency, r.mcc, r.merchant_id, r.terminal_id, r.acquirer_id, r.country,
        r.entry_mode, r.expiry, r.stan, r.rrn, r.sent_at, plan.reason,
        tuple([(x.reason, x.counter, x.use, x.ceiling, x.scale) for x in plan.limits]),
        credit_line_minor, r.mti, plan.rule, plan.flags, policy,
        r.finality, r.merchant_initiated, r.partial_ok, r.merchant_name, r.channel, r.card_present,
        r.token, r.authenticated, r.risk, priced.settle_minor, priced.fees.total_minor,
        priced.fees.cross_border_minor, priced.rate, priced.source, priced.rate_date,
        plan.exception,
        r.device, r.ip, r.skipped, r.skipped_means, r.bin,
    )  # fmt: skip
