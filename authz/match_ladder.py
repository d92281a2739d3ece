"""Which words of a reversal, an advice or a completion find the one original that they mean.

The rungs are those of authz/identity.py, each climbed alone; then the ladder as the engine climbs
it. What several originals share is counted as `several`, also where the engine would go on to
choose by time and by what is left of each.
"""

from collections import Counter

from msgspec import Struct, field
from msgspec.structs import replace

from authz import identity
from authz.match_keys import Facts, named_life_cycle_id, own_life_cycle_id
from authz.wire import elements
from iso8583.message import Message
from rules.facts import Advice, AuthorizationRequest, Reversal

Rungs = dict[str, tuple[str, ...]]  # rung to references, strongest first

FULL, ZEROS = "DE 90 in full", "DE 90, rest zeros"
LIFE, LADDER = "life-cycle id", "the engine's ladder"
RUNGS = {
    FULL: "MTI, STAN, DE 7 and DE 32 of the original",
    ZEROS: "MTI, STAN and DE 7; DE 32 is zeros",
    "DE 37+41+42": "with the card",
    "DE 37": "with the card",
    "DE 38": "with the card and the amount",
    LIFE: "the network's own",
    LADDER: "the strongest word alone if it is a DE 90, else each in turn",
}
OF_IDENTITY = {
    identity.RETRIEVAL: "DE 37+41+42", identity.RRN: "DE 37", identity.APPROVAL: "DE 38",
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

    def take(self, facts: Facts, message: Message) -> None:
        """A request that is no repeat."""
        if isinstance(facts, AuthorizationRequest):
            self.be_found_by(own_references(facts, "", own_life_cycle_id(message, facts.network)))
            return
        network = facts.told.network if isinstance(facts, Advice) else facts.network
        acquirer = elements.text(message, 90)[20:31]
        rungs = rungs_of(facts, acquirer, named_life_cycle_id(message, network))
        self.followers.append(Follower(kind_of(facts), rungs))
        if isinstance(facts, Advice):  # a reversal may name the advice itself
            self.be_found_by(own_references(facts.told, "", "")[:2])

    def approve(self, request: AuthorizationRequest, code: str) -> None:
        """Its answer came, with DE 38."""
        self.be_found_by(own_references(request, code, "")[-1:])

    def be_found_by(self, references: tuple[str, ...]) -> None:
        self.originals.update(references)

    def found(self) -> dict[str, dict[str, Found]]:
        """By kind and rung. Empties the ladder's list of followers on the way."""
        told: dict[str, dict[str, Found]] = {}
        # Advices first: one that stands alone is an original to the reversals after it.
        for follower in sorted(self.followers, key=lambda f: f.kind == "reversal"):
            rows = told.setdefault(follower.kind, {rung: Found() for rung in RUNGS})
            best = 0
            for rung, references in follower.rungs.items():
                counts = [self.originals[r] for r in references if r in self.originals]
                found = counts[0] if counts else 0
                best = best or found
                rows[rung].count(found)
            if follower.kind != "reversal" and not best:
                self.be_found_by(tuple({one for rung in follower.rungs.values() for one in rung}))
        self.followers.clear()
        return told


def kind_of(facts: Facts) -> str:
    if isinstance(facts, Reversal):
        return "reversal"
    return "completion" if isinstance(facts, Advice) and facts.told.posts else "advice"


def own_references(request: AuthorizationRequest, code: str, life: str) -> tuple[str, ...]:
    """All that this request may be found by: by DE 90, the same with its acquirer, and so on;
    by its approval code last."""
    subject = request.card_key
    own, *others, approval = identity.references_of_request(request, code, subject)
    lives = (in_life_cycle(life, subject),) if life else ()
    return (
        own,
        with_acquirer(own, request.acquirer_id),
        *others,
        *lives,
        *((approval,) * bool(code)),
    )


def with_acquirer(reference: str, acquirer_id: str) -> str:
    return f"{reference} {acquirer_id:0>11}"


def in_life_cycle(id: str, subject: str) -> str:
    return identity.fingerprint(LIFE, id, subject)


def rungs_of(facts: Reversal | Advice, original_acquirer: str, life: str) -> Rungs:
    subject = facts.told.card_key if isinstance(facts, Advice) else facts.card_key
    rungs: Rungs = {}
    ladder = references(facts, subject)
    if facts.original_stan:
        [(_, de90)] = [pair for pair in ladder if pair[0] == identity.ORIGINAL]
        if original_acquirer.strip("0"):
            rungs[FULL] = (with_acquirer(de90, original_acquirer),)
        else:
            rungs[ZEROS] = (de90,)
    weaker = replace(facts, original_stan="")
    for rung, reference in (*references(weaker, subject), *references(bare(weaker), subject)):
        rungs.setdefault(OF_IDENTITY[rung], (reference,))
    if life:
        rungs[LIFE] = (in_life_cycle(life, subject),)
    if ladder:
        rungs[LADDER] = tuple(reference for _, reference in ladder)
    return rungs


def references(facts: Reversal | Advice, subject: str) -> tuple[tuple[str, str], ...]:
    """The ladder as the engine would climb it."""
    if isinstance(facts, Reversal):
        return identity.references_of_reversal(facts, subject)
    return tuple(
        pair for pair in identity.references_of_advice(facts, subject) if pair[0] != identity.OWN
    )


def bare(facts: Reversal | Advice) -> Reversal | Advice:
    """Without the elements that stand beside DE 37: what it finds alone."""
    if isinstance(facts, Advice):
        return replace(facts, told=replace(facts.told, terminal_id="", merchant_id=""))
    return replace(facts, terminal_id="", merchant_id="")
