"""Lists: who may not pay, where nobody may pay, and who or where may all the same.

An entry says of one value of one kind that it is blocked or allowed, always or for a time. Of the
kinds that have an entry in force for a request the most particular one decides, in the order of
`KINDS`: an allowed card lifts the block of its merchant, and never the other way round. It lifts
nothing else. A sanctioned country gives way to nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address, ip_network

from msgspec import Struct

from rules.facts import AuthorizationRequest, CardProfile
from rules.reason import Reason

SANCTION, BLOCK, ALLOW = "sanction", "block", "allow"

# From and up to, but not with, in seconds since 1970; 0 is no such end. None at all: always.
Periods = tuple[tuple[int, int], ...]
ALWAYS: Periods = ()  # one object, however many entries have it

Value = Callable[[AuthorizationRequest, CardProfile], str]


class Kind(Struct, frozen=True):
    """One kind of value that a list may name."""

    value: Value  # of a request; "" where it says none
    reason: Reason  # of a block


# The most particular first. A BIN is the first six digits of the card's number.
KINDS: dict[str, Kind] = {
    "card": Kind(lambda request, card: card.card_id, Reason.CARD_BLOCKED),
    "account": Kind(lambda request, card: card.account_id, Reason.ACCOUNT_BLOCKED),
    "device": Kind(lambda request, card: request.device, Reason.DEVICE_BLOCKED),
    "ip": Kind(lambda request, card: request.ip, Reason.IP_BLOCKED),
    "terminal": Kind(lambda request, card: request.terminal_id, Reason.TERMINAL_BLOCKED),
    "merchant": Kind(lambda request, card: request.merchant_id, Reason.MERCHANT_BLOCKED),
    "acquirer": Kind(lambda request, card: request.acquirer_id, Reason.ACQUIRER_BLOCKED),
    "bin": Kind(lambda request, card: request.bin, Reason.BIN_BLOCKED),
    "mcc": Kind(lambda request, card: request.mcc, Reason.MCC_BLOCKED),
    "country": Kind(lambda request, card: request.country, Reason.COUNTRY_BLOCKED),
}

# What is asked, in this order: a kind, and the lists that may name it. Of one value that is blocked
# and allowed at once, which no load lets in, it is blocked.
ASKED = (("country", (SANCTION,)), *((kind, (BLOCK, ALLOW)) for kind in KINDS))
NAMES = (SANCTION, BLOCK, ALLOW)

POSSIBLE = frozenset((kind, name) for kind, names in ASKED for name in names)

# Entries lie in so many dicts, since one of a million stands still for a tenth of a second when it
# grows: these take a millisecond each, one at a time.
# Which of them: by bits of the hash that the dict itself does not go by, or its entries collide.
PARTS = 64
LAST_PART = PARTS - 1
SPELT_MAX = 65_536  # different periods that entries share the objects of


class Said(Struct, frozen=True, gc=False):
    """The entry that decides about a request."""

    name: str  # of its list: sanction | block | allow
    kind: str
    value: str  # as the entry spells it: of an address perhaps a network that it is in

    @property
    def blocks(self) -> bool:
        return self.name != ALLOW

    @property
    def reason(self) -> Reason:
        """What is told where it blocks."""
        return Reason.SANCTIONED_COUNTRY if self.name == SANCTION else KINDS[self.kind].reason


Entries = tuple[dict[str, Periods], ...]  # of one kind on one list: PARTS of them


class Lists:
    """All entries of one version. What a million of them cost: `authz bench lists`."""

    def __init__(self, version: int = 0) -> None:
        self.version = version  # fenced by it, as the policy is
        self._entries: dict[tuple[str, str], Entries] = {}
        self._sizes: dict[tuple[str, str], int] = {}
        self._asked: tuple[tuple[str, Value, tuple[tuple[str, Entries], ...]], ...] = ()
        self._networks: dict[tuple[int, int], int] = {}  # entries by IP version and prefix length
        self._spelt: dict[Periods, Periods] = {}

    def __len__(self) -> int:
        return sum(self._sizes.values())

    def put(self, name: str, kind: str, value: str, periods: Periods | None) -> None:
        """This value is on that list for these periods and no other; None: no longer at all."""
        of = name, kind
        if of not in self._entries:
            if periods is None:
                return
            assert (kind, name) in POSSIBLE, of
            self._entries[of] = tuple({} for _ in range(PARTS))
            self._sizes[of] = 0
            self._ask_where_there_are_some()
        entries = self._entries[of][hash(value) >> 32 & LAST_PART]
        before = len(entries)
        if periods is None:
            entries.pop(value, None)
        else:
            entries[value] = self._one_object(periods)
        more = len(entries) - before
        if more:
            self._sizes[of] += more
            if kind == "ip" and "/" in value:
                network = ip_network(value)
                key = network.version, network.prefixlen
                self._networks[key] = self._networks.get(key, 0) + more
            if not self._sizes[of]:
                del self._entries[of], self._sizes[of]
                self._ask_where_there_are_some()

    def _ask_where_there_are_some(self) -> None:
        found = []
        for kind, names in ASKED:
            named = tuple((n, self._entries[n, kind]) for n in names if (n, kind) in self._entries)
            if named:
                found.append((kind, KINDS[kind].value, named))
        self._asked = tuple(found)

    def _one_object(self, periods: Periods) -> Periods:
        if not periods:
            return ALWAYS
        if len(self._spelt) >= SPELT_MAX:
            self._spelt.clear()
        return self._spelt.setdefault(periods, periods)

    def look(self, request: AuthorizationRequest, card: CardProfile) -> Said | None:
        """The entry that decides; None where there is none in force."""
        for kind, value_of, named in self._asked:
            value = value_of(request, card)
            for name, entries in named:
                periods = entries[hash(value) >> 32 & LAST_PART].get(value)
                if periods is not None and (not periods or is_in_force(periods, request.sent_at)):
                    return Said(name, kind, value)
            if kind == "ip" and value:
                said = self._say(kind, self.spellings(value), (BLOCK, ALLOW), request.sent_at)
                if said is not None:
                    return said
        return None

    def _say(self, kind: str, spelt: Iterable[str], names: tuple[str, ...], at: int) -> Said | None:
        for value in spelt:
            for name in names:
                entries = self._entries.get((name, kind))
                if entries and is_in_force(entries[hash(value) >> 32 & LAST_PART].get(value), at):
                    return Said(name, kind, value)
        return None

    def look_at_each(
        self, request: AuthorizationRequest, card: CardProfile
    ) -> Iterator[tuple[str, str, Said | None]]:
        """Kind, value, and what its own entry says: of all kinds, to the end, for people."""
        for kind, names in ASKED:
            value = KINDS[kind].value(request, card)
            spelt = self.spellings(value) if kind == "ip" else (value,)
            yield kind, value, self._say(kind, spelt, names, request.sent_at)

    def spellings(self, address: str) -> Iterable[str]:
        """An address and the networks that it is in, the smallest first, as entries spell them:
        of the lengths that any entry has."""
        lengths = [length for (_, length), count in self._networks.items() if count]
        return networks_of(address, lengths)


def is_in_force(periods: Periods | None, at: int) -> bool:
    """From its first second up to, but not with, the one that it ends at."""
    if not periods:
        return periods is not None
    return any(start <= at and (not end or at < end) for start, end in periods)


def networks_of(address: str, lengths: Iterable[int] = range(129)) -> tuple[str, ...]:
    """An address and the networks that it is in, the smallest first."""
    try:
        found = ip_address(address)
    except ValueError:
        return ()
    bits = found.max_prefixlen
    shorter = sorted((length for length in set(lengths) if length < bits), reverse=True)
    return str(found), *(str(ip_network(f"{found}/{n}", strict=False)) for n in shorter)


def overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether there is a second that is in both."""
    (start, end), (begin, until) = one, other
    return (not until or start < until) and (not end or begin < end)
