"""The life of card payments as worked examples: a table that can be told to any engine.

Each story begins with an account of 100.00 and a new card. A step is a row: who sends what, and
what it says; what must come back; and what is held and what may be spent afterwards, in minor
units, where that changes. docs/stories.md is made from this table (`make docs`).

To add one: a Story below, with steps made by the five words `asks`, `again`, `takes_back`, `tells`
and `raises`.

Not told: holds that end by their date, since an engine's clock cannot be moved from outside
(tests/authz/test_expire.py); and a cut-over, which would end the day of an engine that others use.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from authz.simulator.story_messages import (
    ADVICE,
    AGAIN,
    GENERIC,
    INCREMENT,
    ISO_1993,
    MASTERCARD,
    REVERSAL,
    VISA,
    WITHOUT,
    Change,
    Quoted,
    Step,
    Tongue,
)

OPENING_MINOR = 10_000
CURRENCY = "840"
Changes = Mapping[int, Change]


class Story(Struct, frozen=True):
    name: str
    about: str
    steps: tuple[Step, ...]
    tongue: Tongue = GENERIC


def asks(mti: str, says: str, changes: Changes, **expected: Any) -> Step:
    """Something new: a 0100 or 0200, or an advice of what nobody asked us."""
    return Step(mti=mti, says=says, changes=changes, who=who(mti), **expected)


def again(of: int, mti: str, says: str, changes: Changes | None = None, **expected: Any) -> Step:
    """The same numbers once more."""
    return Step(
        mti=mti, says=says, kind=AGAIN, of=of, changes=changes or {}, who=who(mti), **expected
    )  # fmt: skip


def who(mti: str) -> str:
    """Advices of authorizations are the network's own word; most else comes from the acquirer."""
    return "network" if mti[1:3] in ("12", "62") else "acquirer"


def takes_back(
    of: int, says: str, changes: Changes | None = None, mti: str = "0400", **expected: Any
) -> Step:
    return Step(mti=mti, says=says, kind=REVERSAL, of=of, changes=changes or {}, **expected)


def tells(of: int, mti: str, says: str, changes: Changes | None = None, **expected: Any) -> Step:
    """What was decided elsewhere (0120), or is completed (0220): DE 37, 41 and 42 name the step."""
    return Step(
        mti=mti, says=says, kind=ADVICE, of=of, changes=changes or {}, who=who(mti), **expected
    )  # fmt: skip


def raises(of: int, says: str, changes: Changes, mti: str = "0100", **expected: Any) -> Step:
    """More on an authorization given before, named by DE 90."""
    return Step(mti=mti, says=says, kind=INCREMENT, of=of, changes=changes, **expected)


SAME_CODE = {38: Quoted(1, 38)}
CASH, REFUND, CREDIT, INQUIRY = "010000", "200000", "260000", "300000"  # DE 3
OR_LESS = "000000000100"  # DE 60: the terminal takes less
OF_VISA = {2: "123456789012345"}  # DE 62
TRACE = {1: "MCCABC123", 2: "0322  "}  # DE 48.63
NAMELESS = {37: WITHOUT, 41: WITHOUT, 42: WITHOUT, 90: WITHOUT}
FIRST, SECOND = {71: "0001", 72: "0002"}, {71: "0002", 72: "0002"}
BOUGHT = asks("0100", "asks for 60.00", {4: 6000}, held=6000, available=4000)

STORIES: tuple[Story, ...] = (
    # -- a request and its answer
    Story("purchase", "A purchase holds its money, and the next one must fit into what is left.", (
        BOUGHT,
        asks("0100", "asks for 60.00 elsewhere", {4: 6000}, code="51", answer={38: WITHOUT}),
        asks("0100", "asks for the 40.00 that are left", {4: 4000}, held=10_000, available=0),
    )),
    Story("cash", "Cash at a machine is held like a purchase.", (
        asks("0100", "asks for 80.00 in cash", {3: CASH, 4: 8000, 18: "6011"},
             held=8000, available=2000),
    )),
    Story("account-check", "A purchase of nothing asks only about the card.", (
        asks("0100", "asks for 0.00", {4: 0}, held=0, available=10_000),
    )),
    Story("unknown-card", "A card that nobody issued is declined, and remembered.", (
        asks("0100", "asks for 10.00", {2: "9999990000000028"}, code="14"),
        again(1, "0101", "asks again", code="14"),
    )),
    Story("purchase-abroad", "The network converts: what it billed is held, in the card's money.", (
        asks("0100", "asks for 50.00 euros, billed 54.32", {4: 5000, 49: "978", 6: 5432, 51: "840"},
             held=5432, available=4568),
        takes_back(1, "takes all but 25.00 euros back", {95: 2500}, held=2716, available=7284),
    )),
    # -- once more
    Story("repeat", "No answer came, so the same is asked again: the same answer, held once.", (
        BOUGHT,
        again(1, "0101", "asks again", answer=SAME_CODE),
        again(1, "0101", "asks again", {12: "235959"}, answer=SAME_CODE | {12: "235959"}),
    )),
    Story("same-id-other-content", "The numbers of an earlier request with another amount.", (
        BOUGHT,
        again(1, "0100", "asks for 70.00 under the same numbers", {4: 7000}, code="94"),
        again(1, "0101", "asks for the first once more", answer=SAME_CODE),
    )),
    # -- taken back
    Story("reversal", "The purchase is taken back, and once is enough.", (
        BOUGHT,
        takes_back(1, "takes it back", held=0, available=10_000),
        again(2, "0401", "takes it back, again"),
        takes_back(1, "takes it back under other numbers", mti="0420"),
    )),
    Story("reversal-by-reference", "DE 90 is zeros but for the MTI; DE 37, 41 and 42 name it.", (
        BOUGHT,
        takes_back(1, "takes it back", {90: "0100".ljust(42, "0")}, held=0, available=10_000),
    )),
    Story("reversal-by-approval-code", "Neither DE 90 nor DE 37: the approval code names it.", (
        asks("0100", "asks for 60.00", {4: 6000, 37: WITHOUT}, held=6000, available=4000),
        takes_back(1, "takes it back", {90: WITHOUT, 38: Quoted(1, 38)}, held=0, available=10_000),
    )),
    Story("reversal-first", "The reversal overtakes its authorization, which then holds nothing.", (
        takes_back(2, "takes back what has not come yet"),
        asks("0100", "asks for 60.00", {4: 6000}, code="05", held=0, available=10_000),
        again(2, "0101", "asks again", code="05"),
    )),
    Story("partial-reversal", "Part of it is given back: DE 95 says what stays.", (
        BOUGHT,
        takes_back(1, "takes all but 25.00 back", {95: 2500}, held=2500, available=7500),
        takes_back(1, "takes the rest back", held=0, available=10_000),
    )),
    Story("partial-reversal-first", "The part is known before the whole: what stays is held.", (
        takes_back(2, "leaves 25.00 of what has not come yet", {95: 2500}),
        asks("0100", "asks for 60.00", {4: 6000}, held=2500, available=7500),
    )),
    # -- decided elsewhere
    Story("stand-in", "The network said yes in our stead, beyond the funds: it is held.", (
        asks("0120", "tells that it approved 150.00", {4: 15_000}, held=15_000, available=-5000),
        again(1, "0121", "tells it again"),
        asks("0100", "asks for 0.01", {4: 1}, code="51"),
    )),
    Story("advice-after-approval", "The network tells of what we approved ourselves: one hold.", (
        BOUGHT,
        tells(1, "0120", "tells that it approved it too", held=6000, available=4000),
    )),
    Story("stand-in-after-a-reversal", "Our answer was late: taken back, then approved for us.", (
        BOUGHT,
        takes_back(1, "takes the unanswered back", mti="0420", held=0, available=10_000),
        tells(1, "0120", "tells that it approved it", held=6000, available=4000),
    )),
    Story("declined-advice", "The network said no in our stead: noted, and nothing is held.", (
        asks("0120", "tells that it declined 60.00", {4: 6000, 39: "05"}, held=0, available=10_000),
    )),
    # -- posted
    Story("single-message", "A financial request posts at once; and is taken back.", (
        asks("0200", "asks for 60.00, to be posted", {4: 6000}, held=0, available=4000),
        again(1, "0201", "asks again", answer=SAME_CODE),
        takes_back(1, "takes it back", held=0, available=10_000),
    )),
    Story("completion-below", "Less is shipped than was held: the rest is free again.", (
        BOUGHT,
        tells(1, "0220", "completes with 40.00", {4: 4000}, held=0, available=6000),
    )),
    Story("completion-equal", "What was held is posted; then the completion is taken back.", (
        BOUGHT,
        tells(1, "0220", "completes with 60.00", held=0, available=4000),
        takes_back(2, "takes the completion back", held=0, available=10_000),
    )),
    Story("completion-above", "More is shipped than was held: it is posted all the same.", (
        BOUGHT,
        tells(1, "0220", "completes with 75.00", {4: 7500}, held=0, available=2500),
    )),
    Story("completion-first", "The completion overtakes its authorization: no second hold.", (
        tells(2, "0220", "completes with 60.00 what has not come yet", held=0, available=4000),
        asks("0100", "asks for 60.00", {4: 6000}, held=0, available=4000),
    )),
    Story("several-completions", "Shipped in two parts, counted in DE 71 and 72.", (
        BOUGHT,
        tells(1, "0220", "completes with 25.00, the first of two", FIRST | {4: 2500},
              held=3500, available=4000),
        tells(1, "0220", "completes with 30.00, the second", SECOND | {4: 3000},
              held=0, available=4500),
    )),
    Story("completion-uncounted", "Nothing says that more is to come: the first ends the hold.", (
        BOUGHT,
        tells(1, "0220", "completes with 25.00", {4: 2500}, held=0, available=7500),
        tells(1, "0220", "completes with 35.00", {4: 3500}, held=0, available=4000),
    )),
    Story("force-post", "A completion of what nobody asked us is posted, beyond the funds too.", (
        asks("0220", "completes 120.00", {4: 12_000}, held=0, available=-2000),
    )),
    # -- money that comes
    Story("refund", "A refund is approved, posted when it is completed, and taken back.", (
        asks("0100", "announces a refund of 30.00", {3: REFUND, 4: 3000}, held=0, available=10_000),
        tells(1, "0220", "gives the 30.00", held=0, available=13_000),
        takes_back(2, "takes the refund back", held=0, available=10_000),
    )),
    Story("refund-at-once", "A financial refund is posted with its answer.", (
        asks("0200", "gives 30.00", {3: REFUND, 4: 3000}, held=0, available=13_000),
    )),
    Story("original-credit", "Money that never left the card comes to it, and goes again.", (
        asks("0200", "sends 30.00", {3: CREDIT, 4: 3000}, held=0, available=13_000),
        again(1, "0201", "sends it again", answer=SAME_CODE),
        takes_back(1, "takes it back", held=0, available=10_000),
    )),
    # -- more is asked for, or less would do
    Story("partial-approval", "The terminal takes less, and gets what there is.", (
        asks("0100", "asks for 150.00, or less", {4: 15_000, 60: OR_LESS}, code="10",
             answer={4: 10_000}, held=10_000, available=0),
        again(1, "0101", "asks again", code="10", answer=SAME_CODE | {4: 10_000}),
        takes_back(1, "takes it back", held=0, available=10_000),
    )),
    Story("balance-inquiry", "What is there? It moves nothing.", (
        BOUGHT,
        asks("0100", "asks what there is", {3: INQUIRY, 4: 0},
             answer={54: f"0001840C{10_000:012}0002840C{4000:012}"}, held=6000, available=4000),
    )),
    Story("increment", "A hotel asks for another night: the hold grows, and is taken back whole.", (
        BOUGHT,
        raises(1, "asks for 30.00 more", {4: 3000}, held=9000, available=1000),
        raises(1, "asks for 30.00 more", {4: 3000}, code="51"),
        takes_back(1, "takes all of it back", held=0, available=10_000),
    )),
    # -- what networks say of themselves
    Story("administrative-advice", "A text for people: acknowledged, and not kept.", (
        asks("0620", "tells something", {48: "NOT FOR US"}),
        again(1, "0621", "tells it again"),
    )),
    Story("life-cycle-visa", "DE 90 and 37 are left out: the transaction's id in 62.2 names it.", (
        asks("0100", "asks for 60.00", {4: 6000, 62: OF_VISA}, held=6000, available=4000),
        takes_back(1, "takes all but 25.00 back", {95: 2500, 62: OF_VISA, **NAMELESS},
                   held=2500, available=7500),
        tells(1, "0220", "completes with 20.00", {4: 2000, 62: OF_VISA, 37: WITHOUT},
              held=0, available=8000),
    ), VISA),
    Story("life-cycle-mastercard", "DE 48.63 quotes DE 63 and 15 of the purchase.", (
        asks("0100", "asks for 60.00", {4: 6000, 15: "0322", 63: {1: "MCC", 2: "ABC123   "}},
             held=6000, available=4000),
        takes_back(1, "takes it back", {48: {"tcc": "R", "63": TRACE}, **NAMELESS},
                   held=0, available=10_000),
    ), MASTERCARD),
    # -- 1993
    Story("purchase-1993", "The same life in the messages of 1993.", (
        asks("1100", "asks for 60.00", {4: 6000}, code="000", held=6000, available=4000),
        again(1, "1101", "asks again", code="000", answer=SAME_CODE),
        takes_back(1, "leaves 25.00 of it", {4: 2500, 24: "401", 30: f"{6000:012}{0:012}"},
                   mti="1420", code="400", held=2500, available=7500),
        tells(1, "1220", "completes with 20.00", {4: 2000, 24: "201"}, code="900",
              held=0, available=8000),
    ), ISO_1993),
)  # fmt: skip
BY_NAME = {story.name: story for story in STORIES}
assert len(BY_NAME) == len(STORIES), "a name stands twice"
assert all(0 <= step.of <= len(story.steps) for story in STORIES for step in story.steps)
