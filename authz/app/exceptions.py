"""A card's exceptions for people."""

from typing import Any

from authz.clock import utc
from rules.facts import CardException


def exception_told(one: CardException) -> dict[str, Any]:
    return {
        "exception_id": one.exception_id,
        "merchant_id": one.merchant_id or "none named",
        "amount_minor": one.amount_minor,
        "amount_currency": one.currency,
        "uses": one.uses or "any number",
        "from": utc(one.from_s * 1000).isoformat(),
        "until": utc(one.until_s * 1000).isoformat(),
        "opened_by": one.opened_by,
        **({"review_id": one.review_id} if one.review_id else {}),
    }
