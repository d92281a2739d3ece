"""What changed, by fields and counts."""

from typing import Any

from authz.app.changes import WAYS_MAX, Changes
from rules.facts import CardProfile, CardState


def card(**changes: Any) -> CardProfile:
    base = {
        "card_id": "C1", "account_id": "A1", "limit_subject": "C1", "expiry": "2812",
        "state": CardState.ACTIVE,
    }  # fmt: skip
    return CardProfile(**(base | changes))


def test_what_stays_is_not_told_and_the_same_way_is_counted() -> None:
    changes = Changes()
    changes.note_card(card(), card())
    assert changes.told("card") == []
    for _ in range(1200):
        changes.note_card(card(daily_count=3), card(state=CardState.FROZEN))
    changes.note_card(card(daily_count=3), card(daily_count=4))
    assert changes.told("card") == [
        "1,200 cards changed: status; daily_count now without limit",
        "1 card changed: daily_count",
    ]


def test_ways_are_bounded() -> None:
    changes = Changes()
    for n in range(WAYS_MAX + 2):
        changes.ways[f"way {n}"] = 2
    told = changes.told("card")
    assert (len(told), told[-1]) == (WAYS_MAX + 1, "4 more cards changed in other ways")
