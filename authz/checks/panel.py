"""All optional checks of an engine: asked at the same time, and what their answers amount to."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from msgspec.structs import replace

from authz.budget import Budget
from authz.cards import Known
from authz.checks.link import Check
from authz.checks.settings import REST_MS
from authz.checks.words import Told
from rules.facts import AuthorizationRequest

REST_S = REST_MS / 1000
# Answers kept for a repeat or a second plan: what 500 requests a second leave in 20 s, within which
# networks that heard nothing repeat; 1 kB each.
KEPT_MAX = 10_000
STRICTEST = ("decline", "refer")


class Panel:
    """The checks, and what they told lately."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = tuple(checks)
        self._kept: OrderedDict[str, tuple[Told, ...]] = OrderedDict()

    async def ask(
        self, request: AuthorizationRequest, known: Known, about: str, budget: Budget
    ) -> AuthorizationRequest:
        """The request with what checks tell of it, and which of them gave no answer in time.

        `about` names the question: its repeat is not asked again where all had answered. No longer
        is waited than leaves the hot state its rest of the budget.
        """
        told = self._kept.get(about)
        if told is None:
            left_s = budget.left_s() - REST_S
            card_id, account_id = known.card.card_id, known.account.account_id
            asked = (check.ask(request, card_id, account_id, left_s) for check in self.checks)
            answers = await asyncio.gather(*asked)
            told = tuple(answer for answer in answers if answer is not None)
            if len(told) < len(answers):
                late = [c for c, answer in zip(self.checks, answers, strict=True) if answer is None]
                request = skipping(request, late)
            else:
                self._keep(about, told)
        return with_told(request, told)

    def _keep(self, about: str, told: tuple[Told, ...]) -> None:
        self._kept[about] = told
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)


def skipping(request: AuthorizationRequest, late: Sequence[Check]) -> AuthorizationRequest:
    """Without these. The strictest word on them is what follows."""
    words = {check.when_spent for check in late}
    means = next((word for word in STRICTEST if word in words), "")
    names = tuple(check.name for check in late)
    return replace(request, skipped=names, skipped_means=means)


def with_told(request: AuthorizationRequest, told: Sequence[Told]) -> AuthorizationRequest:
    """The largest score; true where anybody says so; of texts the first that there is."""
    return replace(
        request,
        risk=max(request.risk, *(each.risk for each in told)) if told else request.risk,
        authenticated=request.authenticated or any(each.authenticated for each in told),
        token=request.token or any(each.token for each in told),
        device=request.device or next((each.device for each in told if each.device), ""),
        ip=request.ip or next((each.ip for each in told if each.ip), ""),
    )
