"""Where things are in the hot state. Every key that one act touches is in one shard.

The shard is the hash tag, so an act stays on one node of a cluster. The count is
fixed when a store is first opened and is written in its gate: changing it moves
every account.
"""

from functools import lru_cache
from zlib import crc32

SHARDS = 64  # one node may own as little as one; 64 nodes is more than this design asks for


def shard_of(account_id: str) -> str:
    """The shard of an account, as its hash tag spells it: "07"."""
    return f"{crc32(account_id.encode()) % SHARDS:02}"


def shard_of_network(network: str) -> str:
    """The shard of what is known of a network and not of an account."""
    return shard_of(name_of_network(network))


def name_of_network(network: str) -> str:
    """What picks that shard."""
    return f"network/{network}"


@lru_cache(maxsize=65_536)  # the accounts in play; an entry costs about 0.5 kB
def account_keys(account_id: str) -> tuple[str, str, str, str]:
    """The keys that an act on an account touches, in the order the functions expect.

    control, account, expiry, journal.
    """
    s = f"authz:{{{shard_of(account_id)}}}"
    return f"{s}:control", f"{s}:account:{account_id}", f"{s}:expiry", f"{s}:journal"


def account(account_id: str) -> str:
    """The hash that holds all about one account."""
    return account_keys(account_id)[1]


def card_field(card_id: str) -> str:
    """The field of that hash that holds a card: "<version> <profile>"."""
    return f"c:{card_id}"


def authorization_field(authorization_id: str) -> str:
    """The field of that hash that holds an authorization's record."""
    return f"a:{authorization_id}"


def days_field(network: str) -> str:
    """The field of a control hash that holds a network's business days."""
    return f"d:{network}"


def total_field(network: str, day: int, currency: str, kind: str) -> str:
    """The field of a control hash that holds one total of a network's business day."""
    return f"t:{network}/{day}/{currency}/{kind}"


# Of a control hash: "1" where the store was rebuilt, so the books have what its journal has not.
FROM_BOOKS = "from_books"


def quota_field(counter: str) -> str:
    """The field of a control hash that holds what the shard has of a program's ceiling."""
    return f"q:{counter}"


def answer(shard: str, message_id: str) -> str:
    return f"authz:{{{shard}}}:answer:{message_id}"


def control(shard: str) -> str:
    return f"authz:{{{shard}}}:control"


def journal(shard: str) -> str:
    return f"authz:{{{shard}}}:journal"


def expiry(shard: str) -> str:
    return f"authz:{{{shard}}}:expiry"


def reviews(shard: str) -> str:
    """Referrals that wait for a person, "<account> <message id>", by when they were opened."""
    return f"authz:{{{shard}}}:reviews"


def review_field(message_id: str) -> str:
    """The field of an account's hash that holds the facts of one: "<card id> <since> <body>"."""
    return f"v:{message_id}"


def outbox(shard: str) -> str:
    """What networks are to be told of the cards of a shard: the words themselves."""
    return f"authz:{{{shard}}}:outbox"


def outbox_of(shard: str, network: str) -> str:
    """The cards that one network has still to acknowledge, by when it is told."""
    return f"authz:{{{shard}}}:outbox:{network}"


def directory(card_key: str) -> str:
    """Card key to card and account. Its own tag: one fixed tag would put every card in one slot."""
    return f"authz:pan:{{{card_key}}}"


def card_key_of(directory: str) -> str:
    """The card key that such a key is of."""
    return directory.removeprefix("authz:pan:{").removesuffix("}")


# The shard that the judgement lies in: lists.lua. Its version is in every gate.
HOME = shard_of("judgement")
JUDGEMENT = f"authz:{{{HOME}}}:judgement"
LISTS = f"authz:{{{HOME}}}:lists"
CHANGES = f"authz:{{{HOME}}}:changes"
STORE_ID = "authz:{gate}:store"  # drawn once, kept over restarts: which store this is
BY_FILE = "authz:{gate}:by-file"  # of which networks engines say that the file moves the money
PAN_KEY = "authz:{gate}:pan-key"  # by which check the key of its cards is known again
REBUILDING = "authz:{gate}:rebuilding"  # while the store is: since when, ms by its clock
REBUILT = "authz:{gate}:rebuilt"  # how often it was; engines that see it count up begin anew
GATE_LOCK = "authz:{gate}:lock"  # one engine audits a restarted store at a time

ALL_SHARDS = tuple(f"{n:02}" for n in range(SHARDS))
