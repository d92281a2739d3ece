"""What became of a record of a clearing file: one name for each, and for good."""

from enum import StrEnum


class Outcome(StrEnum):
    """Exactly one for every record that is no header, trailer or addendum."""

    CLEARED = "cleared"
    CLEARED_BELOW = "cleared_below"
    CLEARED_ABOVE = "cleared_above"
    CLEARED_PART = "cleared_part"
    CLEARED_LATE = "cleared_late"
    FORCED = "forced"
    UNMATCHED = "unmatched"
    REFUNDED = "refunded"
    CHARGED_BACK = "charged_back"
    REPRESENTED = "represented"
    FEE = "fee"
    REVERSED = "reversed"
    AGREES = "agrees"
    DIFFERS = "differs"
    MISSING_ONLINE = "missing_online"
    REPEATED = "repeated"
    REFUSED = "refused"


MEANING: dict[Outcome, str] = {
    Outcome.CLEARED: "posted: as much as was held",
    Outcome.CLEARED_BELOW: "posted: less than was held, and the rest let go",
    Outcome.CLEARED_ABOVE: "posted: more than was still held",
    Outcome.CLEARED_PART: "posted: one of several, and the rest stays held",
    Outcome.CLEARED_LATE: "posted: its hold had ended, by date, by a person or by a reversal",
    Outcome.FORCED: "posted: a card of ours, and no authorization was found",
    Outcome.UNMATCHED: "in the unmatched account: no card of ours, or nothing that it could be "
    "posted on",
    Outcome.REFUNDED: "credited: a refund",
    Outcome.CHARGED_BACK: "credited, and the network owes it: a chargeback of ours",
    Outcome.REPRESENTED: "in the disputes account: the acquirer's answer to a chargeback",
    Outcome.FEE: "in the fee account: of the network, and no cardholder's",
    Outcome.REVERSED: "taken back: what an earlier record had moved",
    Outcome.AGREES: "nothing moved: the same was posted online",
    Outcome.DIFFERS: "nothing moved: posted online, but not so much, or told here once more",
    Outcome.MISSING_ONLINE: "nothing moved: no online message posted it",
    Outcome.REPEATED: "nothing moved: this record was cleared before",
    Outcome.REFUSED: "nothing moved: the record cannot be used",
}
assert MEANING.keys() == set(Outcome)

# Of first presentments that found their authorization.
MATCHED = frozenset(
    {
        Outcome.CLEARED,
        Outcome.CLEARED_BELOW,
        Outcome.CLEARED_ABOVE,
        Outcome.CLEARED_PART,
        Outcome.CLEARED_LATE,
    }
)
# What moved a cardholder's money, so that a later record may take it back.
POSTED = MATCHED | {Outcome.FORCED, Outcome.REFUNDED, Outcome.CHARGED_BACK}
# What a person looks at; and what has one of the details below.
FOR_A_PERSON = frozenset(
    {
        Outcome.CLEARED_LATE,
        Outcome.FORCED,
        Outcome.UNMATCHED,
        Outcome.DIFFERS,
        Outcome.MISSING_ONLINE,
        Outcome.REFUSED,
    }
)
# As a detail: what the hold policy does not tolerate, and is posted all the same.
BEYOND, OVERDUE = "beyond", "overdue"


def of_purchase(
    *, found: bool, in_part: bool, ended: bool, billed_minor: int, released_minor: int
) -> Outcome:
    """What a presentment that was posted is called.

    `released_minor`: by how much it made the hold smaller; `ended`: the hold had ended by its date,
    by a person or by a reversal.
    """
    if not found:
        return Outcome.FORCED
    if ended:
        return Outcome.CLEARED_LATE
    if released_minor < billed_minor:
        return Outcome.CLEARED_ABOVE
    if in_part:
        return Outcome.CLEARED_PART
    return Outcome.CLEARED if released_minor == billed_minor else Outcome.CLEARED_BELOW
