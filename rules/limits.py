"""A policy's limits, written as Python: a line makes the `Limit` of a request.

Its counter says whose, which row's, what it counts (a limit may change that), when, of which one,
and in which bucket: rules/counters.py.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from rules.counters import AMOUNT, COUNT, DECLINES
from rules.facts import Limit
from rules.policy import DIFFERENT, LimitRule
from rules.reason import Reason
from rules.windows import rolling

# What every limit of a function needs, looked up once.
LIMIT_HEAD = (
    "    card, account, amount = c.limit_subject, '@' + a.account_id, f.amount_minor",
    "    add, buckets, ends, at = e.append, t.buckets, t.ends, f.sent_at",
)

# What a limit says when it is full, and how its counters follow.
MEASURES = {
    "amount": (Reason.AMOUNT_LIMIT, AMOUNT),
    "count": (Reason.COUNT_LIMIT, COUNT),
    "declines": (Reason.DECLINE_LIMIT, DECLINES),
    "merchants": (Reason.MERCHANTS_LIMIT, COUNT),
    "countries": (Reason.COUNTRIES_LIMIT, COUNT),
}
# What there is a counter for each of, and what different ones are told from one another by.
VALUES = {
    "merchant": "merchant_id", "country": "country", "channel": "channel", "mcc": "mcc",
    "merchants": "merchant_id", "countries": "country",
}  # fmt: skip


@lru_cache(maxsize=65_536)  # the merchants in play
def spelt(value: str) -> str:
    """A value as a part of a counter's name. Those that say none are one; no other is spelt so."""
    return quote(value, safe=" ") or "%"


def written(row: LimitRule, name: Callable[[Any], str]) -> str:
    """A limit of this request. Its counter: whose, which row's, what it counts (a limit may
    change that), when, of which one, and in which bucket (rules/counters.py)."""
    reason, scale = MEASURES[row.measure]
    limit, said, what, quoted = map(name, (Limit, reason, f"/{row.name}/{row.measure}/", spelt))
    moves = rolling(row.window)
    window = name(f"{moves.seconds}s" if moves else row.window)
    counter = f"{'card' if row.per == 'card' else 'account'} + {what} + "
    counter += window if moves else f"buckets[{window}]"
    if row.each:
        counter += f" + ':' + {quoted}(f.{VALUES[row.each]})"
    bucket, until, since, size = "'0'", f"ends[{window}]", "0", 0
    if moves:
        size = moves.bucket_s
        bucket = f"str(at // {size})"
        until = f"(at // {size} + 1) * {size} + {moves.seconds}"
        since = f"(at - {moves.seconds - 1}) // {size}"
    if moves or row.measure in DIFFERENT:
        counter += f" + '|' + {bucket}"
    if row.measure in DIFFERENT:
        counter += f" + '|' + {quoted}(f.{VALUES[row.measure]})"
    use = "amount" if scale == AMOUNT else "1"
    how = f"{until}, {since}, {size}"
    return f"{limit}({said}, {counter}, {use}, {row.ceiling:d}, {scale:d}, {how})"
