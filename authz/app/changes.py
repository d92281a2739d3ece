"""What a load changes in accounts and cards that were there: a row is the whole of them.

So a row that says less than the one before takes limits away, and whoever loads it must hear
of that. Told by fields and counts, never by content.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from rules.facts import AccountProfile, AccountState, CardProfile, CardState

WAYS_MAX = 10  # told one by one; a file that changes cards in more ways is a new order of things
NO_LIMIT = "now without limit"

# Column, the profile's field, its default, and what is said where the default comes back.
ACCOUNT = (
    ("program", "program", "default", "now the default"),
    ("credit_line", "credit_line_minor", 0, "now 0"),
    ("time_zone", "time_zone", "UTC", "now UTC"),
    ("status", "state", AccountState.ACTIVE, "now active"),
)
CARD = (
    ("expiry", "expiry", None, ""),
    ("status", "state", CardState.ACTIVE, "now active"),
    ("per_transaction", "transaction_limit_minor", None, NO_LIMIT),
    ("daily_amount", "daily_amount_minor", None, NO_LIMIT),
    ("daily_count", "daily_count", None, NO_LIMIT),
    ("blocked_mccs", "blocked_mccs", (), "now none"),
    ("limit_subject", "limit_subject", None, ""),
    ("issued", "issued_day", None, ""),
)

Field = tuple[str, str, Any, str]


class Changes(Struct):
    """In which ways things changed, and how many of them in each."""

    ways: Counter[str] = msgspec.field(default_factory=Counter)

    def note(self, fields: Sequence[Field], old: Struct, new: Struct) -> None:
        way = way_of(fields, old, new)
        if way:
            self.ways[way] += 1

    def note_account(self, old: AccountProfile, new: AccountProfile) -> None:
        self.note(ACCOUNT, old, new)

    def note_card(self, old: CardProfile, new: CardProfile) -> None:
        self.note(CARD, old, new)

    def told(self, what: str) -> list[str]:
        """ "1 card changed: status; per_transaction, daily_amount now without limit"."""
        told = [
            f"{count:,} {what}{'' if count == 1 else 's'} changed: {way}"
            for way, count in self.ways.most_common(WAYS_MAX)
        ]
        more = sum(self.ways.values()) - sum(n for _, n in self.ways.most_common(WAYS_MAX))
        return [*told, f"{more:,} more {what}s changed in other ways"] if more else told


def way_of(fields: Sequence[Field], old: Struct, new: Struct) -> str:
    """The columns that changed; those that came back to a default by what that is."""
    by_words: dict[str, list[str]] = {"": []}
    for column, name, default, words in fields:
        value = getattr(new, name)
        if value != getattr(old, name):
            by_words.setdefault(words if value == default else "", []).append(column)
    return "; ".join(
        f"{', '.join(columns)} {words}".rstrip() for words, columns in by_words.items() if columns
    )
