"""A backtest in words."""

from collections.abc import Iterator, Mapping

from authz.app.backtesting import Answer
from authz.app.output import counted
from authz.app.plain_text import money
from rules.differences import Report, Sum

SHOWN = 20  # rules of each kind; the JSON has all


def in_words(answer: Answer) -> Iterator[str]:
    r, read = answer.report, answer.read
    yield f"policy {r.policy}: {counted(r.requests, 'request')}, {r.same:,} answered the same"
    if r.not_judged:
        yield f"{counted(r.not_judged, 'request')} of cards that are not ours: no policy is asked"
    yield f"approved then   {sum_of(r.approved_then)}"
    yield f"approved here   {sum_of(r.approved_here)}"
    yield from table("newly declined", r.newly_declined, r.declined_by)
    yield from table("newly approved", r.newly_approved, r.approved_by)
    if r.other_reason or r.other_amount:
        yield f"declined for another reason {r.other_reason:,}, held otherwise {r.other_amount:,}"
    if r.after_other_funds:
        yield f"{r.after_other_funds:,} of these because earlier decisions left other funds"
    if r.labelled:
        yield from labelled(r)
    yield f"{counted(read.entries, 'journal entry')} read"
    if not read.whole:
        yield "the journal has no beginning: counters of the draft begin where it does"
    if read.bounded:
        yield "there is more: --entries-max was reached"
    if read.unreadable or read.skipped:
        yield f"left out: {read.unreadable:,} unreadable, {read.skipped:,} without their facts"


def table(what: str, total: Sum, by: Mapping[str, Sum]) -> Iterator[str]:
    yield f"{what}  {sum_of(total)}"
    ordered = sorted(by.items(), key=lambda item: -item[1].count)
    for name, one in ordered[:SHOWN]:
        yield f"  {name:<32} {sum_of(one)}"
    if len(ordered) > SHOWN:
        yield f"  and {len(ordered) - SHOWN} more"


def labelled(r: Report) -> Iterator[str]:
    genuine = r.labelled - r.fraud
    yield f"labelled {r.labelled:,}, of them fraud {r.fraud:,}"
    yield f"  fraud declined     then {r.fraud_declined_then:,}, here {r.fraud_declined_here:,}"
    yield (
        f"  genuine declined   then {r.genuine_declined_then:,}, here {r.genuine_declined_here:,}"
        f" of {genuine:,}"
    )


def sum_of(one: Sum) -> str:
    amounts = ", ".join(
        money(amount, currency) for currency, amount in sorted(one.amounts_minor.items())
    )
    fraud = f", {one.fraud:,} of them fraud" if one.fraud else ""
    return f"{one.count:,}{': ' + amounts if amounts else ''}{fraud}"
