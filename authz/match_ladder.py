"""Which words of a reversal, an advice or a completion find the one original that they mean.

The rungs are those of authz/identity.py, each climbed alone; then the ladder as the engine climbs
it. What several originals share is counted as `several`, also where the engine would go on to
choose by time and by what is left of each.
"""

from collections import Counter

from msgspec import Struct, field
from msgspec.structs import replace

from authz import identity
from authz.match_keys import Facts, asked_of
from rules.facts import Advice, AuthorizationRequest, Does, Increment, Original, Reversal

Rungs = dict[str, tuple[str, ...]]  # rung to references, strongest first

FULL, ZEROS = "DE 90 in full", "DE 90, rest zeros"
LIFE, LADDER = "life-cycle id", "the engine's ladder"
RUNGS = {
    FULL: "MTI, STAN, DE 7 and DE 32 of the original",
    ZEROS: "MTI, STAN and DE 7; DE 32 is zeros",
    "DE 37+41+42": "with the card",
    "DE 37": "with the card",
    "DE 38": "with the card and the amount",
    LIFE: "the network's own, with the card",
    LADDER: "as the engine climbs it",
}
OF_IDENTITY = {
    identity.LIFE_CYCLE: LIFE, identity.RETRIEVAL: "DE 37+41+42", identity.RRN: "DE 37",
    identity.APPROVAL: "DE 38",
}  # fmt: skip


class Found(Struct):
    """What one rung found, over all messages of a kind that carry it."""

    carried: int = 0
    one: int = 0
    none: int = 0
    several: int = 0

    def count(self, originals: int) -> None:
        self.carried += 1
        match originals:
            case 0:
                self.none += 1
            case 1:
                self.one += 1
            case _:
                self.several += 1


class Follower(Struct, frozen=True, gc=False):
    """What refers to an original, and by which words."""

    kind: str  # reversal | advice | completion
    rungs: Rungs


class Ladder(Struct):
    """Originals and what follows them, taken in as they come; looked up when all have."""

    originals: Counter[str] = field(default_factory=Counter)  # by reference
    followers: list[Follower] = field(default_factory=list)

    def take(self, facts: Facts, original_acquirer: str) -> None:
        """A request that is no repeat."""
        told = asked_of(facts)
        if isinstance(told, AuthorizationRequest):
            own = identity.own_reference(told, told.card_key)
            self.be_found_by((own, with_acquirer(own, told.acquirer_id)))
        if isinstance(facts, AuthorizationRequest):
            self.be_found_by(identity.references_of_request(facts, "", told.card_key)[1:-1])
        else:
            kind = kind_of(facts)
            self.followers.append(Follower(kind, rungs_of(facts, original_acquirer)))

    def approve(self, facts: AuthorizationRequest | Increment, code: str, is_part: bool) -> None:
        """Its answer came, with DE 38; perhaps of less than was asked."""
        told = facts.asked if isinstance(facts, Increment) else facts
        by_code = identity.references_of_request(told, code, told.card_key)[-1]
        part = (identity.reference_of_part(code, told.card_key),) if is_part else ()
        self.be_found_by((by_code, *part))

    def count(self, words: tuple[str, ...]) -> int:
        """How many originals the first of these words finds that finds any."""
        return next((self.originals[word] for word in words if word in self.originals), 0)

    def be_found_by(self, references: tuple[str, ...]) -> None:
        self.originals.update(references)

    def found(self) -> dict[str, dict[str, Found]]:
        """By kind and rung. Empties the ladder's list of followers on the way."""
        told: dict[str, dict[str, Found]] = {}
        # Advices first: one that stands alone is an original to the reversals after it.
        for follower in sorted(self.followers, key=lambda f: f.kind == "reversal"):
            rows = told.setdefault(follower.kind, {rung: Found() for rung in RUNGS})
            counts = {rung: self.count(words) for rung, words in follower.rungs.items()}
            for rung, count in counts.items():
                rows[rung].count(count)
            if follower.kind != "reversal" and not any(counts.values()):
                self.be_found_by(tuple({one for rung in follower.rungs.values() for one in rung}))
        self.followers.clear()
        return told


def kind_of(facts: Increment | Advice | Reversal) -> str:
    match facts:
        case Reversal():
            return "reversal"
        case Increment():
            return "increment"
    return "advice" if facts.does is Does.SET else "completion"


def with_acquirer(reference: str, acquirer_id: str) -> str:
    return f"{reference} {acquirer_id:0>11}"


def rungs_of(facts: Increment | Advice | Reversal, original_acquirer: str) -> Rungs:
    """Each word of it alone, as the engine would look it up; and the ladder of them all."""
    original, rungs = facts.original, Rungs()
    if original.stan:
        [de90] = [word for _, word in ladder(bare(facts, replace(original, approval_code="")))]
        if original_acquirer.strip("0"):
            rungs[FULL] = (with_acquirer(de90, original_acquirer),)
        else:
            rungs[ZEROS] = (de90,)
    by_code = Original(approval_code=original.approval_code)
    told = asked_of(facts)
    for one in (
        bare(facts, Original(), life_cycle=told.life_cycle),
        bare(facts, by_code, rrn=told.rrn, terminal_id=told.terminal_id,
             merchant_id=told.merchant_id),
        bare(facts, Original(), rrn=told.rrn),
    ):  # fmt: skip
        for rung, word in ladder(one):
            rungs[OF_IDENTITY[rung]] = (*rungs.get(OF_IDENTITY[rung], ()), word)
    if words := tuple(word for _, word in ladder(facts)):
        rungs[LADDER] = words
    return rungs


def ladder(facts: Increment | Advice | Reversal) -> tuple[identity.Rung, ...]:
    """As the engine climbs it."""
    told = asked_of(facts)
    match facts:
        case Reversal():
            rungs = identity.references_of_reversal(facts, told.card_key)
        case Increment():
            rungs = identity.references_of_increment(facts, "", told.card_key)
        case Advice():
            rungs = identity.references_of_advice(facts, told.card_key)
    return tuple(rung for rung in rungs if rung[0] != identity.OWN)


NO_WORDS = {"life_cycle": "", "rrn": "", "terminal_id": "", "merchant_id": ""}


def bare(
    facts: Increment | Advice | Reversal, original: Original, **words: str
) -> Increment | Advice | Reversal:
    """The same with these words about its original and no others."""
    match facts:
        case Reversal():
            return replace(facts, original=original, **(NO_WORDS | words))
        case Increment():
            asked = replace(facts.asked, **(NO_WORDS | words))
            return replace(facts, original=original, asked=asked)
        case Advice():
            told = replace(facts.told, **(NO_WORDS | words))
            return replace(facts, original=original, told=told)
