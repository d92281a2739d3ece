"""Which elements tell one request from another, in traffic that was captured.

The engine knows a message by its id (authz/identity.py). Whether a network's own DE 11, 7 and 32
are unique enough for that is a fact about its acquirers, so it is looked up in what they send.
Beside the engine's own key stand candidates: fewer elements, and more.

Of a message only digests are kept, with its number in the file, its MTI and its STAN.
"""

from collections.abc import Callable

from msgspec import Struct, field

from authz import advise, authorize, identity, reverse
from authz.privacy import PanKeys
from authz.wire import elements
from authz.wire.indicators import READERS
from authz.wire.meanings import ALLOWED, what_it_does
from authz.wire.to_request import to_advice, to_increment, to_request, to_reversal
from authz.wire.version_1993 import as_1987
from iso8583.message import Message
from iso8583.mti import is_request, without_repeat
from rules.facts import Advice, AuthorizationRequest, Does, Increment, Reversal

Facts = AuthorizationRequest | Increment | Advice | Reversal

SHOWN_MAX = 20  # collisions told by number; what they have in common shows in the first few
VARIANTS_MAX = 8  # of one key that are told apart; where there are more, the key is no key


class Place(Struct, frozen=True, gc=False):
    """Where a message stands in the file, and nothing of what it says."""

    number: int  # from 1
    mti: str
    stan: str  # "-" where it is none

    def __str__(self) -> str:
        return f"message {self.number} (MTI {self.mti}, STAN {self.stan})"


class Told(Struct, frozen=True, gc=False):
    """One request as far as its keys go. Nothing in it can be read back."""

    place: Place
    facts: Facts
    message_id: str  # the engine's, with the card's key where the engine has a card id
    fingerprint: str  # the engine's: what a repeat must have in common with the first
    whole: str  # of both: two requests that share it are one to the engine
    core: str  # the same but for DE 7, which some acquirers stamp anew on a repeat
    keys: dict[str, str]  # candidate to digest; "" where elements of it are missing

    @property
    def is_repeat(self) -> bool:
        """By its own word: 0101, 0121, 0401, 0421."""
        return without_repeat(self.place.mti) != self.place.mti


class Once(Struct, frozen=True, gc=False):
    """What is kept of a request to compare others with."""

    place: Place
    content: str
    core: str


# -- reading ------------------------------------------------------------------------


def facts_of(message: Message, network: str, keys: PanKeys, now_ms: int) -> Facts | None:
    """What the engine's stories would be told of a request; None where it is none of theirs.

    Raises: BadElement, Unsupported, PartError; the engine would refuse it then.
    """
    says = READERS[network](message)
    message = in_elements_of_1987(message)
    told = (message, network, keys, now_ms, says)
    kind = message.mti[1:3]
    if kind in ("40", "42"):
        return to_reversal(*told)
    if kind not in ALLOWED:
        return None
    does = what_it_does(network, message.mti, elements.text(message, 18), says)
    if kind in ("12", "22"):
        return to_advice(*told, does)
    return to_increment(*told) if does is Does.INCREASE else to_request(*told)


def in_elements_of_1987(message: Message) -> Message:
    return as_1987(message) if message.mti[0] == "1" else message


def asked_of(facts: Facts) -> AuthorizationRequest | Reversal:
    """The facts that every kind has."""
    match facts:
        case Advice():
            return facts.told
        case Increment():
            return facts.asked
    return facts


def place_of(number: int, message: Message) -> Place:
    stan = elements.text(message, 11)
    fit = len(stan) <= 6 and stan.isascii() and stan.isdigit()
    return Place(number, message.mti, stan if fit else "-")


def told_of(number: int, message: Message, facts: Facts) -> Told:
    """The keys of a request, the engine's own among them."""
    told = asked_of(facts)
    subject = told.card_key  # it has no card id: there is no directory here
    if isinstance(told, Reversal):
        id, fingerprint = reverse.message_id(told, subject), reverse.fingerprint(told)
    else:
        id, fingerprint = authorize.message_id(told, subject), authorize.fingerprint(told)
    if isinstance(facts, Advice):
        fingerprint = advise.content_of(facts)
    kind = without_repeat(message.mti)[1:]
    values = {
        "11": told.stan,
        "7": elements.text(message, 7),
        "32": told.acquirer_id,
        "41": told.terminal_id,
        "37": told.rrn,
        "card": subject,
        "life": told.life_cycle,
    }
    return Told(
        place=place_of(number, message),
        facts=facts,
        message_id=id,
        fingerprint=fingerprint,
        whole=identity.fingerprint(id, fingerprint),
        core=identity.fingerprint(kind, fingerprint, told.stan, told.acquirer_id, subject),
        keys={
            name: identity.fingerprint(kind, *(values[n] for n in made_of))
            if all(values[n] for n in made_of)
            else ""
            for name, made_of in CANDIDATES.items()
        },
    )


# Each within class and function of the MTI. "life" is the network's own id of a transaction.
CANDIDATES: dict[str, tuple[str, ...]] = {
    "DE 11": ("11",),
    "DE 11+7": ("11", "7"),
    "DE 11+7+32": ("11", "7", "32"),
    "DE 11+7+32+41": ("11", "7", "32", "41"),
    "DE 11+7+32+37": ("11", "7", "32", "37"),
    "DE 11+7+card": ("11", "7", "card"),
    "DE 37+41+card": ("37", "41", "card"),
    "life-cycle id": ("life",),
    "life-cycle id+11": ("life", "11"),
}
ENGINE = "the engine's own"
ENGINE_MADE_OF = "network, class and function, DE 11, 7, 32, card"


# -- judging ------------------------------------------------------------------------


class Collision(Struct, frozen=True):
    """Two requests of different content under one key."""

    first: Place
    second: Place


class KeyTable(Struct):
    """What became of one key over all requests."""

    name: str
    made_of: str
    key_of: Callable[[Told], str]
    content_of: Callable[[Told], str]
    requests: int = 0
    without: int = 0  # that lack an element of it
    repeats: int = 0  # of the same content, or by their own word and the same but for DE 7
    lonely: int = 0  # repeats by their own word that found no first under this key
    collisions: int = 0
    shown: list[Collision] = field(default_factory=list)
    seen: dict[str, list[Once]] = field(default_factory=dict)

    def take(self, told: Told) -> bool:
        """Whether it is a repeat of what was seen before."""
        self.requests += 1
        key, once = self.key_of(told), Once(told.place, self.content_of(told), told.core)
        if not key:
            self.without += 1
            return False
        before = self.seen.get(key)
        if before is None:
            self.seen[key] = [once]
            self.lonely += told.is_repeat
            return False
        if any(self.same(told, once, other) for other in before):
            self.repeats += 1
            return True
        self.collisions += 1
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(Collision(before[0].place, once.place))
        if len(before) < VARIANTS_MAX:
            before.append(once)
        return False

    def same(self, told: Told, once: Once, other: Once) -> bool:
        return once.content == other.content or (told.is_repeat and once.core == other.core)

    @property
    def unique(self) -> bool:
        """No collision among those that carry it, and some do."""
        return self.collisions == 0 and self.without < self.requests


def engine_table() -> KeyTable:
    """As the engine itself sees it: id and fingerprint, nothing else."""
    return KeyTable(
        ENGINE, ENGINE_MADE_OF, lambda told: told.message_id, lambda told: told.fingerprint
    )


def candidate_tables() -> list[KeyTable]:
    def table(name: str) -> KeyTable:
        return KeyTable(name, name, lambda told: told.keys[name], lambda told: told.whole)

    return [table(name) for name in CANDIDATES]


def is_management(message: Message) -> bool:
    return message.mti[1] == "8"


def asks(message: Message) -> bool:
    return is_request(message.mti) and not is_management(message)
