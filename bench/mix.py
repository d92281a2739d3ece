"""What a load is made of: authorizations, and stated shares of what else comes over a link.

Drawn from the same seed as the cards and the purchases. Everything but an authorization follows
one: a repeat of it, its reversal, its completion, or an advice of another purchase of that card
which the network approved in our stead. Nothing follows what cannot be followed: an account check
is not taken back, an unknown card is not billed.
"""

from collections.abc import Iterator
from random import Random

from msgspec import Struct

from authz.simulator import messages
from authz.simulator.messages import Event
from authz.simulator.traffic import LATER, REVERSALS, SOON, Stans, one_of
from authz.wire.networks import NETWORK_OF
from iso8583.dialects import BY_NAME

SHARES = ("authorizations", "repeats", "reversals", "advices", "completions")
BILLED = frozenset({"purchase", "cash"})  # kinds of authorizations that may be followed by money
# Whose words an advice and a completion are made in; the accents of networks have none for them.
GENERIC_DIALECTS = tuple(
    sorted((name for name in BY_NAME if name not in NETWORK_OF), key=lambda n: n != "iso87_ascii")
)
HALF = 50.0  # per cent: at most one message follows each authorization


class BadMix(ValueError):
    """What was asked for is no mix. The text says why."""


class Mix(Struct, frozen=True):
    """Per cent of all messages."""

    authorizations: float = 90.0
    repeats: float = 2.0
    reversals: float = 4.0
    advices: float = 2.0
    completions: float = 2.0

    def __str__(self) -> str:
        return ",".join(f"{name}={getattr(self, name):g}" for name in SHARES)

    def following(self) -> dict[str, float]:
        """For each share but the first, how many there are for one authorization."""
        return {name: getattr(self, name) / self.authorizations for name in SHARES[1:]}


WITHOUT_ADVICES = Mix(authorizations=94.0, repeats=2.0, reversals=4.0, advices=0.0, completions=0.0)


def parsed(text: str) -> Mix:
    """ "authorizations=95,repeats=5": what is not named has no share. Raises: BadMix."""
    shares = dict.fromkeys(SHARES, 0.0)
    seen = set()
    for part in text.split(","):
        name, _, number = (word.strip() for word in part.partition("="))
        if name not in shares:
            raise BadMix(f"{name or part!r} is no share: {', '.join(SHARES)}")
        if name in seen:
            raise BadMix(f"{name} is there twice")
        seen.add(name)
        try:
            shares[name] = float(number)
        except ValueError:
            raise BadMix(f"{name}: {number!r} is no number") from None
        if not 0 <= shares[name] <= 100:  # neither is nan
            raise BadMix(f"{name}: {number} is no per cent")
    if abs(sum(shares.values()) - 100) > 1e-6:
        raise BadMix(f"the shares add up to {sum(shares.values()):g}, not to 100")
    if shares["authorizations"] < HALF:
        raise BadMix(f"authorizations are at least {HALF:g}: one message follows each at most")
    return Mix(**shares)


class Following:
    """What comes after each authorization, so that the shares are those of the mix.

    Each share is owed its part of a message with every authorization, more or less of it as the
    dice fall; a whole one is given when one comes that it can follow.
    """

    def __init__(self, mix: Mix) -> None:
        self._rates = {name: rate for name, rate in mix.following().items() if rate}
        self._owed = dict.fromkeys(self._rates, 0.0)

    def __call__(self, first: Event, dice: Random, stans: Stans) -> Iterator[tuple[int, Event]]:
        """At most one, and how many messages later."""
        for name, rate in self._rates.items():
            self._owed[name] += rate * 2 * dice.random()
        ready = [name for name, owed in self._owed.items() if owed >= 1]
        if first.kind not in BILLED or not first.dollars:
            ready = [name for name in ready if name == "repeats"]
        if not ready:
            return
        name = max(ready, key=self._owed.__getitem__)
        self._owed[name] -= 1
        match name:
            case "repeats":
                as_repeat = dice.random() < 0.6  # else the very same 0100
                kind = "repeat" if as_repeat else "duplicate"
                yield dice.randint(1, SOON), messages.once_more(kind, first, as_repeat)
            case "reversals":
                yield dice.randint(SOON, LATER), taken_back(first, dice, stans)
            case "advices":
                yield dice.randint(1, SOON), messages.advice(first, stan_of(first, stans))
            case "completions":
                after = dice.randint(SOON, LATER)
                yield after, messages.completion(first, stan_of(first, stans))


def taken_back(first: Event, dice: Random, stans: Stans) -> Event:
    """As `traffic.follow_ups` has it, but that none overtakes and none is sent again."""
    original = one_of({key: REVERSALS[key] for key in (messages.ZEROS, messages.ABSENT)}, dice)
    amount = int(first.elements[4])
    partial = amount > 1 and dice.random() < REVERSALS["partial"]
    return messages.reversal(
        first,
        "0420" if dice.random() < REVERSALS["advice"] else "0400",
        stan_of(first, stans),
        original=original or messages.FULL,
        remaining_minor=dice.randint(1, amount - 1) if partial else None,
    )


def stan_of(first: Event, stans: Stans) -> str:
    return stans.next(first.elements[32])


def share_of(event: Event) -> str:
    """Which share a message counts in."""
    if event.again is not None:
        return "repeats"
    return {"0120": "advices", "0220": "completions"}.get(
        event.mti, "reversals" if event.mti[1] == "4" else "authorizations"
    )
