"""What a network saw of an engine: counted while it runs, summed up when it ends."""

from array import array
from collections import Counter
from collections.abc import Sequence
from math import ceil

from msgspec import Struct, field

APPROVED = frozenset({"00", "08", "10", "11", "85"})  # DE 39
REFERRED = frozenset({"01", "02"})
NO_VERDICT = frozenset({"91", "96"})  # "ask again": the next answer may differ
CONFLICTS_KEPT = 100  # of those that are named; all are counted


class Report(Struct, kw_only=True):
    """One run. Latencies count from the moment at which a message should have left.

    A key names a message and its repeats: "0100", DE 7, DE 11 and DE 32, with blanks
    between. It holds no card number.
    """

    offered: int = 0  # messages that fell due
    sent: int = 0
    unsent: int = 0  # no link was up, or all were full
    resent: int = 0  # as repeats, after silence or a cut
    answered: int = 0
    unanswered: int = 0  # given up
    over_budget: int = 0  # answered, but later than the budget
    late_sends: int = 0  # by more than `network.LATE_S`: the generator's own slowness
    late_answers: int = 0  # to what had been given up
    extra_answers: int = 0  # second answers to what was sent again
    unmatched: int = 0  # responses that answer nothing we sent
    unreadable: int = 0  # bytes that were no message
    cuts: int = 0  # links lost
    conflicts: int = 0  # a repeat that got another verdict than the first
    conflicting: list[str] = field(default_factory=list)  # the first of them: key, both verdicts
    codes: Counter[tuple[str, str]] = field(default_factory=Counter)  # by MTI sent and DE 39
    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))
    answers: dict[str, str] = field(default_factory=dict)  # key to DE 39 and DE 38
    given_up: set[str] = field(default_factory=set)
    budget_s: float = 0.2
    sending_s: float = 0.0  # from the first message due to the last
    elapsed_s: float = 0.0  # … to the last answer
    last_answer_at: float = 0.0  # monotonic
    sample_key: str = ""
    sample_request: bytes = b""  # one pair for display, without its length prefix
    sample_response: bytes = b""

    # -- while it runs ----------------------------------------------------------

    def record(self, key: str, mti: str, code: str, approval: str, due: float, now: float) -> None:
        """An answer to something that was waiting for it. `due` and `now` are monotonic."""
        self.answered += 1
        self.last_answer_at = now
        latency_s = now - due
        self.codes[mti, code] += 1
        self.latencies_s.append(latency_s)
        if latency_s > self.budget_s:
            self.over_budget += 1
        self.remember(key, code, approval)

    def record_stray(self, key: str, code: str, approval: str) -> None:
        """An answer that nothing waits for any more, or never did."""
        if key in self.answers:
            self.extra_answers += 1
        elif key in self.given_up:
            self.late_answers += 1
        else:
            self.unmatched += 1
            return
        self.remember(key, code, approval)

    def remember(self, key: str, code: str, approval: str) -> None:
        """P3 seen from outside: whatever was a verdict once stays the verdict."""
        verdict = code + approval
        first = self.answers.get(key)
        if first is None or first[:2] in NO_VERDICT:
            self.answers[key] = verdict
        elif first != verdict and code not in NO_VERDICT:
            self.conflicts += 1
            if len(self.conflicting) < CONFLICTS_KEPT:
                self.conflicting.append(f"{key}: {first}, then {verdict}")

    def give_up(self, key: str) -> None:
        self.unanswered += 1
        self.given_up.add(key)

    # -- when it has ended ------------------------------------------------------

    @property
    def approvals(self) -> dict[str, str]:
        """Every authorization that we were told is approved: its key and its DE 38."""
        return {
            key: verdict[2:]
            for key, verdict in self.answers.items()
            if verdict[:2] in APPROVED and key[1] in "12"
        }

    def latency_ms(self, *shares: float) -> list[float]:
        """Quantiles of all answers; 1.0 is the slowest. Zeros when there were none."""
        ordered = sorted(self.latencies_s)
        return [_quantile(ordered, share) * 1000 for share in shares]

    def answers_like(self, codes: frozenset[str]) -> int:
        """Authorizations and purchases answered with one of these."""
        return sum(n for (mti, code), n in self.codes.items() if mti[1] in "12" and code in codes)

    def summary(self) -> dict[str, float | int]:
        """Under the names that `--json` answers keep."""
        p50, p90, p99, p999, slowest = self.latency_ms(0.5, 0.9, 0.99, 0.999, 1.0)
        approved, referred = self.answers_like(APPROVED), self.answers_like(REFERRED)
        no_verdict = self.answers_like(NO_VERDICT)
        judged = sum(count for (mti, _), count in self.codes.items() if mti[1] in "12")
        return {
            "offered_per_s": per_s(self.offered, self.sending_s),
            "achieved_per_s": per_s(self.answered, self.elapsed_s),
            "sent": self.sent,
            "answered": self.answered,
            "unanswered": self.unanswered,
            "over_budget": self.over_budget,
            "p50_ms": round(p50, 3),
            "p90_ms": round(p90, 3),
            "p99_ms": round(p99, 3),
            "p999_ms": round(p999, 3),
            "max_ms": round(slowest, 3),
            "approved": approved,
            "declined": judged - approved - referred - no_verdict,
            "referred": referred,
            "no_verdict": no_verdict,
            "unsent": self.unsent,
            "resent": self.resent,
            "late_sends": self.late_sends,
            "conflicts": self.conflicts,
            "unmatched": self.unmatched,
        }

    def __repr__(self) -> str:
        return f"Report({self.answered} of {self.offered} answered)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return list(self.summary().items())  # the sample holds a card number


def per_s(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds else 0.0


def _quantile(ordered: Sequence[float], share: float) -> float:
    if not ordered:
        return 0.0
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
