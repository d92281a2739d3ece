"""A backtest's rulings, added up: what would have been answered otherwise, by what, how much."""

from collections.abc import Mapping

from msgspec import Struct

from rules.backtest import Ruling
from rules.facts import AuthorizationRequest
from rules.reason import Reason

EXAMPLES_MAX = 20  # of each kind, for a person to look up


class Sum(Struct):
    """Requests, and their amounts by currency in minor units."""

    count: int = 0
    amounts_minor: dict[str, int] = {}
    fraud: int = 0
    genuine: int = 0
    fraud_minor: dict[str, int] = {}

    def add(self, currency: str, amount_minor: int, label: bool | None) -> None:
        self.count += 1
        more(self.amounts_minor, currency, amount_minor)
        if label:
            self.fraud += 1
            more(self.fraud_minor, currency, amount_minor)
        elif label is not None:
            self.genuine += 1


class Report(Struct, kw_only=True):
    """What `authz rules backtest` tells."""

    policy: str
    requests: int = 0
    not_judged: int = 0  # of cards that are not ours: no policy was asked
    same: int = 0  # the same answer, to the last minor unit
    other_reason: int = 0  # declined then and here, for another reason
    other_amount: int = 0  # approved then and here, with another hold
    after_other_funds: int = 0  # differ because what was decided before left other funds
    approved_then: Sum
    approved_here: Sum
    newly_declined: Sum
    newly_approved: Sum
    declined_by: dict[str, Sum] = {}  # by rule or limit of the draft, else by reason
    approved_by: dict[str, Sum] = {}  # by what stood in the way then
    by_day: dict[str, tuple[int, int]] = {}  # UTC: newly declined, newly approved
    labelled: int = 0
    fraud: int = 0
    fraud_declined_then: int = 0
    fraud_declined_here: int = 0
    genuine_declined_then: int = 0
    genuine_declined_here: int = 0
    examples: dict[str, list[str]] = {}  # message ids

    @property
    def reproduced(self) -> bool:
        return self.same == self.requests


class Differences:
    """Fed with rulings. `labels`: by message id, "acquirer/RRN" or RRN, whether it was fraud."""

    def __init__(self, policy: str, labels: Mapping[str, bool]) -> None:
        self._labels = labels
        self.report = Report(
            policy=policy, approved_then=Sum(), approved_here=Sum(), newly_declined=Sum(),
            newly_approved=Sum(),
        )  # fmt: skip

    def unknown_card(self) -> None:
        self.report.requests += 1
        self.report.not_judged += 1
        self.report.same += 1

    def add(self, ruling: Ruling, day: str) -> None:
        """`day`: in which the request was judged, as the report is to name it."""
        r, asked = self.report, ruling.asked
        request = ruling.priced.request
        label = self._label(asked.message_id, request)
        then, here = ruling.was is Reason.APPROVED, ruling.reason is Reason.APPROVED
        money = request.currency, request.amount_minor, label
        r.requests += 1
        r.same += ruling.same
        r.after_other_funds += ruling.by_funds
        if then:
            r.approved_then.add(*money)
        if here:
            r.approved_here.add(*money)
        self._labelled(label, then, here)
        if then == here:
            if not ruling.same:
                r.other_amount += then
                r.other_reason += not then
                self._example("other_amount" if then else "other_reason", asked.message_id)
            return
        kind, sums, by, total = (
            ("newly_declined", r.declined_by, ruling.rule or ruling.reason, r.newly_declined)
            if then
            else ("newly_approved", r.approved_by, ruling.was_by or ruling.was, r.newly_approved)
        )
        total.add(*money)
        sums.setdefault(by, Sum()).add(*money)
        declined, approved = r.by_day.get(day, (0, 0))
        r.by_day[day] = (declined + then, approved + here)
        self._example(kind, asked.message_id)

    def _label(self, message_id: str, request: AuthorizationRequest) -> bool | None:
        names = message_id, f"{request.acquirer_id}/{request.rrn}", request.rrn
        return next((self._labels[name] for name in names if name in self._labels), None)

    def _labelled(self, label: bool | None, then: bool, here: bool) -> None:
        r = self.report
        if label is None:
            return
        r.labelled += 1
        if label:
            r.fraud += 1
            r.fraud_declined_then += not then
            r.fraud_declined_here += not here
        else:
            r.genuine_declined_then += not then
            r.genuine_declined_here += not here

    def _example(self, kind: str, message_id: str) -> None:
        found = self.report.examples.setdefault(kind, [])
        if len(found) < EXAMPLES_MAX:
            found.append(message_id)


def more(amounts: dict[str, int], currency: str, amount_minor: int) -> None:
    amounts[currency] = amounts.get(currency, 0) + amount_minor
