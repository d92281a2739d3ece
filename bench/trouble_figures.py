"""What a scene of trouble came to: before, during, after, and slot by slot."""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any

from msgspec import Struct

from bench.load import BUDGET_S
from bench.open_loop import Sent

NO_VERDICT = ("91", "96")
SLOT_S = 0.1  # of the chart
DURING_LEAST_S = 1.0  # a trouble of a moment shows in what fell due within a second
BEFORE_S = 0.05  # what was under way when it began is troubled too
SECOND_LEAST = 20  # answers, for a second to be judged by


class Window(Struct, frozen=True):
    """When a trouble began and ended, monotonic."""

    began: float
    ended: float


class Answer(Struct, frozen=True):
    due: float
    took_s: float
    code: str


def figures(
    sent: Sent, window: Window, warm_up_s: float, p99_ms: float, *, apart: bool = False
) -> dict[str, Any]:
    """The JSON answer of a scene, as far as the messages tell it. `apart`: those of link 0 are told
    in a part of their own, `slow`, but for whether they were answered.

    `recovered_s`: seconds from the end of the trouble to the first whole second that kept
    `p99_ms` again, or the p99 of the time before, where that was above; None where none did.
    """
    first = sent.dues[0] if sent.count else 0.0
    both: tuple[list[Answer], list[Answer]] = ([], [])
    for due, heard, code, link in zip(sent.dues, sent.heard, sent.codes, sent.links):
        if code:
            both[apart and link == 0].append(Answer(due, heard - due, code))
    answers, slow = both
    began = window.began - BEFORE_S
    ended = max(window.ended, window.began + DURING_LEAST_S)
    before = phase(answers, first + warm_up_s, began)
    back_ms = max(p99_ms, before["p99_ms"])
    last = max((answer.due for answer in answers), default=first)
    return {
        "sent": sent.count,
        "answered": sent.answered,
        "unanswered": sent.count - sent.answered,
        "extra": sent.extra,
        "late_sends": sent.late_sends,
        "over_budget": sum(a.took_s > BUDGET_S for a in answers if a.due >= first + warm_up_s),
        "before": before,
        "during": phase(answers, began, ended),
        "after": phase(answers, ended, last + SLOT_S),
        "slow": phase(slow, began, ended) if apart else None,
        "back_ms": back_ms,
        "recovered_s": recovered(answers, window.ended, last, back_ms),
        "trouble_s": [round(window.began - first, 3), round(window.ended - first, 3)],
        "slots": slots(answers, first),
    }


def phase(answers: Iterable[Answer], since: float, until: float) -> dict[str, Any]:
    """Of what fell due in a time; verdicts and 91s apart."""
    verdicts, told_91 = list[float](), list[float]()
    for answer in answers:
        if since <= answer.due < until:
            (told_91 if answer.code in NO_VERDICT else verdicts).append(answer.took_s)
    return {
        "verdicts": len(verdicts),
        "told_91": len(told_91),
        "per_s": round(len(verdicts) / (until - since), 1) if until > since else 0.0,
        "over_budget": sum(took > BUDGET_S for took in (*verdicts, *told_91)),
        **quantiles(verdicts, ""),
        **quantiles(told_91, "told_91_"),
    }


def quantiles(took_s: list[float], prefix: str) -> dict[str, float]:
    took_s.sort()
    shares = (("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0))
    return {f"{prefix}{name}_ms": at(took_s, share) for name, share in shares}


def at(ordered: Sequence[float], share: float) -> float:
    """In ms; 0 of none."""
    if not ordered:
        return 0.0
    return round(ordered[max(0, ceil(share * len(ordered)) - 1)] * 1e3, 3)


def recovered(answers: Sequence[Answer], ended: float, last: float, back_ms: float) -> float | None:
    seconds: dict[int, list[Answer]] = {}
    for answer in answers:
        if answer.due >= ended:
            seconds.setdefault(int(answer.due - ended), []).append(answer)
    for second in range(int(last - ended)):  # whole ones
        found = seconds.get(second, [])
        if len(found) < SECOND_LEAST or any(a.code in NO_VERDICT for a in found):
            continue
        if at(sorted(a.took_s for a in found), 0.99) <= back_ms:
            return float(second)
    return None


def slots(answers: Iterable[Answer], first: float) -> list[tuple[float, int, int, float, float]]:
    """Of what fell due in each tenth of a second: seconds since the first message, verdicts, 91s,
    the slowest of either in ms."""
    found: dict[int, list[Answer]] = {}
    for answer in answers:
        found.setdefault(int((answer.due - first) / SLOT_S), []).append(answer)
    rows = []
    for slot, here in sorted(found.items()):
        told = [a.took_s for a in here if a.code in NO_VERDICT]
        said = [a.took_s for a in here if a.code not in NO_VERDICT]
        slowest = [round(max(took, default=0.0) * 1e3, 2) for took in (said, told)]
        rows.append((round(slot * SLOT_S, 1), len(said), len(told), slowest[0], slowest[1]))
    return rows
