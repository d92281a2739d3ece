"""The story of an advice: what was decided elsewhere is taken in, and never decided again.

One tells of an authorization that the network gave in our stead: it is held, also beyond the funds,
and makes one hold with our own approval of the same purchase, whichever came first. Another one
completes an authorization, or posts by force where there is none. Which does what, its network
says: authz/wire/meanings.py.
"""

from msgspec.structs import replace

from authz import identity
from authz.authorize import DAY_S, authorization_body, fingerprint, message_id
from authz.budget import Budget
from authz.cards import Known
from authz.engine import Engine, Outcome
from authz.hot.acts import Apply, Note, Terms, Verdict
from authz.hot.errors import HotStateError
from authz.hot.record import Act, touched_by
from authz.hot.totals import AUTHORIZATIONS
from ledger.journal import AdviceBody, encode_body
from rules.counters import lasting
from rules.decide import limits_for
from rules.facts import Advice, Does, Plan
from rules.holds import HoldRule
from rules.price import Price, may_be_billed, price
from rules.reason import Reason
from rules.windows import civil_date


async def advise(engine: Engine, advice: Advice, received: float) -> Outcome:
    """Take it in, and say so. There is nothing to withdraw: the network asks again until it is
    acknowledged, and that is the same act."""
    told = advice.told
    awaits_file = advice.approved and engine.moves_by_file(told.network)
    in_part = advice.does is Does.PART or advice.shipments > 1
    if awaits_file:
        advice = replace(advice, does=Does.SET)
    posts = advice.does is not Does.SET
    budget = engine.budget(received)
    attempt = engine.attempt()
    ttl_s = engine.answer_ttl_s(engine.settings.advice_window_s)
    content = content_of(advice)
    too_old = engine.too_old(told.sent_at, engine.settings.advice_window_s)
    try:
        known = await engine.known(told.card_key, budget)
        deadline_ms = budget.store_deadline_ms(engine.store_offset_ms)
        references = (
            identity.references_of_advice(advice, known.card.limit_subject) if known else ()
        )
        exact = identity.exact_among(references)
        takes_back = not advice.approved and not posts and exact > 0
        idle = (awaits_file and in_part) or not (advice.approved or takes_back)
        if known is None or too_old or idle:
            # Nothing of ours, nothing that moved, or too old to tell from a repeat: taken note
            # of, for the books to look at.
            why = why_not(known is None, too_old, advice.approved)
            note = note_of(advice, known, why, attempt, deadline_ms, ttl_s)
            verdict = await engine.hot.note(note, budget.left_s())
        else:
            card, account = known.card, known.account
            id = message_id(told, card.card_id)
            if takes_back:
                references = references[:exact]  # a weak one may mean another try of the purchase
            today = civil_date(told.sent_at, account.time_zone)
            rule = engine.holds.of(told)
            kind = kind_of(advice, rule)
            priced = await price_of(engine, advice, known, budget)
            await engine.day_of(told.network, budget)
            answer = await engine.hot.apply(
                Apply(
                    kind="completion" if posts else "advice",
                    account_id=account.account_id,
                    card_id=card.card_id,
                    message_id=id,
                    fingerprint=content,
                    attempt=attempt,
                    deadline_ms=deadline_ms,
                    act=act_of(
                        advice, priced, kind, id, identity.own_reference(told, card.limit_subject)
                    ),
                    references=references,
                    exact=exact,
                    terms=terms_of(rule) if posts else None,
                    tally=engine.tally(told.network, "" if posts or takes_back else AUTHORIZATIONS),
                    currency=priced.request.currency,
                    sign=told.sign,
                    expires_at=told.sent_at + rule.days * DAY_S,
                    touched=touched_by(
                        lasting(limits_for(priced.request, card, today), engine.linger_s)
                    ),
                    answer_ttl_s=ttl_s,
                    body=advice_body(advice, priced, kind, references),
                ),
                budget.left_s(),
            )
            assert isinstance(answer, Verdict)  # only an increment is planned, and can be stale
            verdict = answer
    except HotStateError as trouble:
        return engine.no_verdict(trouble, None)
    engine.observer.hot_call(verdict.kind)
    return Outcome(
        reason=Reason.DUPLICATE if verdict.kind == "mismatch" else Reason.APPROVED,
        held_minor=-verdict.held_minor,
        authorization_id=verdict.authorization_id,
        replayed=verdict.replayed,
    )


def note_of(
    advice: Advice, known: Known | None, why: str, attempt: str, deadline_ms: int, ttl_s: int
) -> Note:
    told = advice.told
    return Note(
        shard_of=known.card.account_id if known else told.card_key,
        message_id=message_id(told, known.card.card_id if known else told.card_key),
        fingerprint=content_of(advice),
        attempt=attempt,
        deadline_ms=deadline_ms,
        verdict=why,
        planned=Reason.APPROVED,
        answer_ttl_s=ttl_s,
        body=advice_body(advice, Price(told), "", ()),
    )


async def price_of(engine: Engine, advice: Advice, known: Known, budget: Budget) -> Price:
    """By the rates of now; its fixed fees once, with the last of several completions.

    Nothing tells an advice that the engine's rates are old, as the store tells a request. So they
    are read anew for one that is billed by them; most are billed by their network. Raises:
    HotStateError.
    """
    if may_be_billed(advice.told, known.account):
        await engine.refresh_lists(budget)
    in_part = advice.does is Does.PART
    return price(advice.told, known.card, known.account, engine.judge, in_part=in_part)


def content_of(advice: Advice) -> str:
    """What may not differ between an advice and its repeat."""
    return identity.fingerprint(fingerprint(advice.told), str(advice.approved))


def kind_of(advice: Advice, rule: HoldRule) -> str:
    """What it does: sets the hold, or posts and ends it, or posts and leaves the rest of it. One
    that was declined there takes back what we may have approved ourselves."""
    if not advice.approved:
        return "full"
    if advice.does is Does.SET:
        return "set"
    uncounted = advice.shipments == 0
    keeps = uncounted and rule.remainder == "keep"
    return "post" if advice.does is Does.PART or keeps else "last"


def act_of(advice: Advice, priced: Price, kind: str, id: str, own: str) -> Act:
    told = advice.told
    if kind == "full":
        return Act(kind, id, told.sent_at)
    return Act(
        kind, id, told.sent_at, told.transaction_minor, told.transaction_currency,
        priced.settle_minor, own, max(advice.shipments, 1),
    )  # fmt: skip


def terms_of(rule: HoldRule) -> Terms:
    """What a completion should keep to."""
    return Terms(rule.tolerance_percent, rule.tolerance_minor, rule.overdue_days * DAY_S)


def why_not(unknown: bool, too_old: bool, approved: bool) -> str:
    """What a note says of an advice that moves nothing."""
    if unknown:
        return "unmatched"
    if too_old:
        return "unapplied"
    # One of several completions, where the clearing file tells of each.
    return "awaits_file" if approved else "declined_elsewhere"


def advice_body(
    advice: Advice, priced: Price, act: str, references: tuple[tuple[str, str], ...]
) -> bytes:
    told = authorization_body(priced, Plan(Reason.APPROVED), 0)
    return encode_body(
        AdviceBody(told, act, advice.approved, advice.original.approval_code, references)
    )
