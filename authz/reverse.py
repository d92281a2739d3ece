"""The story of a reversal: never declined, and right whether it comes late, early or twice."""

from authz import identity
from authz.engine import Engine, Outcome
from authz.hot.acts import Apply, Note, Verdict
from authz.hot.errors import HotStateError
from authz.hot.record import Act
from ledger.journal import ReversalBody, encode_body
from rules.facts import Reversal
from rules.reason import Reason


async def reverse(engine: Engine, reversal: Reversal, received: float) -> Outcome:
    """Release what the authorization holds, or leave a tombstone for it.

    There is nothing to withdraw here: a reversal that may have run is asked again by
    the network, and is the same act then.
    """
    budget = engine.budget(received)
    attempt = engine.attempt()
    ttl_s = engine.answer_ttl_s(engine.settings.advice_window_s)
    content = fingerprint(reversal)
    too_old = engine.too_old(reversal.sent_at, engine.settings.advice_window_s)
    try:
        known = await engine.known(reversal.card_key, budget)
        deadline_ms = budget.store_deadline_ms(engine.store_offset_ms)
        if known is None or too_old:
            # Nothing here to take back, or too old to tell from a repeat: taken note of,
            # for the books to look at, and not applied.
            subject = known.card.card_id if known else reversal.card_key
            verdict = await engine.hot.note(
                Note(
                    shard_of=known.card.account_id if known else reversal.card_key,
                    message_id=message_id(reversal, subject),
                    fingerprint=content,
                    attempt=attempt,
                    deadline_ms=deadline_ms,
                    verdict="unmatched" if known is None else "unapplied",
                    planned=Reason.APPROVED,
                    answer_ttl_s=ttl_s,
                    body=journal_body(reversal, ()),
                ),
                budget.left_s(),
            )
        else:
            id = message_id(reversal, known.card.card_id)
            references = identity.references_of_reversal(reversal, known.card.limit_subject)
            await engine.day_of(reversal.network, budget)
            answer = await engine.hot.apply(
                Apply(
                    kind="reversal",
                    account_id=known.account.account_id,
                    card_id=known.card.card_id,
                    message_id=id,
                    fingerprint=content,
                    attempt=attempt,
                    deadline_ms=deadline_ms,
                    act=act_of(reversal, id, references),
                    references=references,
                    exact=identity.exact_among(references),
                    tally=engine.tally(reversal.network),
                    answer_ttl_s=ttl_s,
                    body=journal_body(reversal, references),
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
        held_minor=verdict.held_minor,
        authorization_id=verdict.authorization_id,
        replayed=verdict.replayed,
    )


def act_of(reversal: Reversal, id: str, references: tuple[tuple[str, str], ...]) -> Act:
    """What it does to its authorization, or to the act on it that a full DE 90 names."""
    named = references[0][1] if references and references[0][0] == identity.ORIGINAL else ""
    if reversal.remaining_minor < 0:
        return Act("full", id, reversal.sent_at, names=named)
    return Act(
        "part",
        id,
        reversal.sent_at,
        reversal.remaining_minor,
        reversal.transaction_currency,
        names=named,
    )


def message_id(reversal: Reversal, subject: str) -> str:
    return identity.message_id(
        network=reversal.network,
        mti=reversal.mti,
        stan=reversal.stan,
        sent_at=reversal.sent_at,
        acquirer_id=reversal.acquirer_id,
        subject=subject,
    )


def fingerprint(reversal: Reversal) -> str:
    """What may not differ between a reversal and its repeat."""
    return identity.fingerprint(
        str(reversal.transaction_minor),
        reversal.transaction_currency,
        str(reversal.remaining_minor),
        reversal.original.stan,
        reversal.original.sent,
        reversal.rrn,
        reversal.original.approval_code,
    )


def journal_body(reversal: Reversal, references: tuple[tuple[str, str], ...]) -> bytes:
    r = reversal
    return encode_body(
        ReversalBody(
            r.network, r.mti, r.card_key, r.transaction_minor, r.transaction_currency,
            r.remaining_minor, r.stan, r.rrn, r.sent_at, references,
        )
    )  # fmt: skip
