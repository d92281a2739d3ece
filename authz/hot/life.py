"""The life of an authorization as a table of acts, and as the states that they lead through.

The record has no state of its own: what is held and posted is a fold over the set of its acts
(record.py). A state here is a word for what a record amounts to, for people; the steps between
them are found by folding, so a diagram of them (docs/states.md) cannot say what the engine does
not do.
"""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from authz.hot.record import ACTS_MAX, AT_ONCE, TARGETS, Act, Given, Record, fold, taken_back


class Kind(Struct, frozen=True):
    """A kind of act. `record.lua` folds each; so does record.py."""

    words: str  # for people: `authz show authorization`
    told_by: str  # which message, or who
    does: str


ACTS: dict[str, Kind] = {
    "full": Kind("full reversal", "0400, 0420, a clearing file", "takes all back"),
    "part": Kind(
        "part reversal", "0400, 0420 with DE 95, a clearing file", "takes all but the rest back"
    ),
    "more": Kind("increment", "0100 that names another", "raises what is held"),
    "set": Kind("advice", "0120", "says how much is held from here on"),
    "post": Kind(
        "completion in part",
        "0220 with more to come, a clearing file's, or where the hold policy keeps the rest",
        "posts, and leaves the rest held",
    ),
    "last": Kind("completion", "0220, a clearing file", "posts, and ends the hold"),
    "expired": Kind("expiry", "the engine, by date", "ends the hold"),
    "released": Kind("release", "a person", "ends the hold"),
    "void": Kind("withdrawn increment", "the engine, which had said 91", "holds nothing"),
}
assert ACTS.keys() == {*ACTS_MAX, *TARGETS, "part", "set"}


class State(StrEnum):
    """What a record amounts to."""

    TOMBSTONE = "tombstone"  # what takes it back has come, and it has not
    HELD = "held"
    POSTED_IN_PART = "posted in part"  # and the rest is still held
    POSTED = "posted"
    REVERSED = "reversed"
    EXPIRED = "expired"
    RELEASED = "released"
    ENDED = "ended"  # nothing is held or posted: declined, of no amount, its completion taken back


def state_of(record: Record) -> State:
    held, posted = fold(record)
    kinds = {act.kind for act in record.acts}
    if posted:
        return State.POSTED_IN_PART if held else State.POSTED
    if held:
        return State.HELD
    if not record.original and kinds <= {"full", "part"}:
        return State.TOMBSTONE
    if taken_back(record):
        return State.REVERSED
    for kind, state in (("released", State.RELEASED), ("expired", State.EXPIRED)):
        if kind in kinds:
            return state
    return State.ENDED


class Step(Struct, frozen=True):
    """One act that leads from one state to another; no state: there was no record before."""

    before: State | None
    act: str
    after: State


# -- a life to try acts on --------------------------------------------------------------

ASKED, LESS = 6000, 2000
REQUEST, FINANCIAL, ARRIVAL = "0100", "0200", "its authorization"
REVERSAL_OF_COMPLETION = "reversal of the completion"

NOTHING = Record(sent=1)
# What an act of each kind says here.
EXAMPLES: dict[str, Act] = {
    ACTS["full"].words: Act("full", "", 0),
    ACTS["part"].words: Act("part", "", 0, LESS),
    ACTS["more"].words: Act("more", "", 0, LESS, "840", LESS),
    ACTS["set"].words: Act("set", "", 0, ASKED, "840", ASKED),
    ACTS["post"].words: Act("post", "", 0, LESS, "840", LESS),
    ACTS["last"].words: Act("last", "", 0, ASKED, "840", ASKED),
    ACTS["expired"].words: Act("expired", "", 0),
    ACTS["released"].words: Act("released", "", 0),
}
ACTS_OF_A_LIFE = 3  # behind the first; 10,000 lives, and next to nothing is new in longer ones
# These end a hold that is there, and need one; an increment is judged, and refused without.
NEED_A_HOLD = frozenset({"expired", "released"})


def authorized(record: Record, posts: int = 0) -> Record:
    """The authorization itself comes, to a record that may have waited for it."""
    return replace(
        record, asked=ASKED, asked_in="840", approved=ASKED, currency="840", original="original",
        posts=posts, given=Given(kind="held"),
    )  # fmt: skip


def after(record: Record, act: Act) -> Record:
    """One more act, sent after all others. A completion is named, so that it can be taken back."""
    at = len(record.acts) + 2
    named = f"completion {at}" if act.kind in ("post", "last") else act.names
    act = replace(act, message_id=f"{at}", sent_at=at, names=named)
    return replace(record, acts=[*record.acts, act])


def births() -> dict[str, Record]:
    """What a record begins with: a request, or an act that came before it or stands alone."""
    first = {REQUEST: authorized(NOTHING), FINANCIAL: authorized(NOTHING, posts=AT_ONCE)}
    return first | {
        words: after(NOTHING, act) for words, act in EXAMPLES.items() if act.kind not in NEED_A_HOLD
    }


def all_steps(acts: int = ACTS_OF_A_LIFE) -> list[Step]:
    """Every step that an act makes in lives of up to so many acts behind the first."""
    lives = births()
    found = {Step(None, words, state_of(record)) for words, record in lives.items()}
    now = list(lives.values())
    for _ in range(acts):
        now = [later for record in now for later in steps_from(record, found)]
    return in_order(found)


def plain_steps() -> list[Step]:
    """Those from the shortest life that leads to each state: what usually happens."""
    found = {Step(None, words, state_of(record)) for words, record in births().items()}
    seen: set[State] = set()
    waiting = list(births().values())
    while waiting:
        record = waiting.pop(0)
        if state_of(record) not in seen:
            seen.add(state_of(record))
            waiting += steps_from(record, found)
    return in_order(found)


def in_order(found: set[Step]) -> list[Step]:
    """By the states as they are listed above, those without one before first."""
    place = {None: -1} | {state: at for at, state in enumerate(State)}
    return sorted(found, key=lambda step: (place[step.before], place[step.after], step.act))


def steps_from(record: Record, found: set[Step]) -> list[Record]:
    """Where one more act leads; only from one state to another is a step."""
    before, later = state_of(record), follow_ups(record)
    found |= {
        Step(before, words, after) for words, one in later if (after := state_of(one)) is not before
    }
    return [one for _, one in later]


def follow_ups(record: Record) -> list[tuple[str, Record]]:
    """What may come next: the authorization, where it has not, and every act that is taken."""
    held, _ = fold(record)
    later = [] if record.original else [(ARRIVAL, authorized(record))]
    for words, act in EXAMPLES.items():
        if (act.kind in NEED_A_HOLD and not held) or (act.kind == "more" and taken_back(record)):
            continue
        later.append((words, after(record, act)))
    completed = {act.names for act in record.acts if act.kind in ("post", "last")}
    reversed_ = {act.names for act in record.acts if act.kind == "full"}
    for name in sorted(completed - reversed_)[-1:]:
        later.append((REVERSAL_OF_COMPLETION, after(record, Act("full", "", 0, names=name))))
    return later
