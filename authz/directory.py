"""The directory against the journal, and what of it can be written again.

Every journalled card that stands on its account must be found by its key, or its holder is told
14. The journal keeps the key with the card, so a row that is missing can be proved and written
once more; a row that names somebody else cannot.
Promises: tests/authz/test_directory.py.
"""

from asyncio import gather
from collections import Counter
from collections.abc import Iterable

from msgspec import Struct
from redis.asyncio import Redis

from authz.hot import keys
from authz.hot.resp import Connection
from authz.shard_journal import Journal
from authz.standing import Row, Seen

TIMEOUT_S = 60.0
LOOKS = 256  # rows asked for at once

# Rows that are written again before somebody must look. A load has 512 cards under way, so a few
# that were killed leave some thousands; where more are missing the directory itself was lost.
REPAIRS_MAX = 10_000


class Stray(Struct, frozen=True):
    """A card that its key does not lead to."""

    account_id: str
    card_id: str
    card_key: str

    @property
    def row(self) -> Row:
        return (f"directory of card {self.card_id}", None, "there")


async def strays(
    connection: Connection, journal: Journal, accounts: dict[str, Seen]
) -> tuple[list[Stray], list[Stray]]:
    """The cards of a shard that are not found: whose row is missing, whose row is another's."""
    cards = [
        Stray(account_id, card_id, card.card_key)
        for account_id, told in journal.told.items()
        for card_id, card in told.cards.items()
        if account_id in accounts and card_id in accounts[account_id].cards
    ]
    missing, wrong = [], []
    for start in range(0, len(cards), LOOKS):
        some = cards[start : start + LOOKS]
        calls = (("HMGET", keys.directory(it.card_key), "account", "card") for it in some)
        found = await gather(*(connection.call(call, TIMEOUT_S) for call in calls))
        for card, row in zip(some, found, strict=True):
            if row == [None, None]:
                missing.append(card)
            elif row != [card.account_id.encode(), card.card_id.encode()]:
                wrong.append(card)
    return missing, wrong


async def write_again(client: Redis, missing: list[Stray]) -> list[Stray]:
    """Give each of these its row, as the journal has it. Returns those it was not done for.

    Not where two cards claim one key, and not where so many are missing that more was lost.
    """
    claims = Counter(card.card_key for card in missing)
    if len(missing) > REPAIRS_MAX:
        return missing
    left = []
    for card in missing:
        whose = (card.account_id.encode(), card.card_id.encode())
        if claims[card.card_key] > 1 or await written(client, card) != whose:
            left.append(card)
    return left


async def written(client: Redis, card: Stray) -> tuple[bytes, bytes]:
    """Whose the key is now. Set only where it is nobody's."""
    reply = await client.fcall(
        "authz_put_directory", 1, keys.directory(card.card_key), card.account_id, card.card_id,
        "there",
    )  # fmt: skip
    return reply[2], reply[3]


def by_account(cards: Iterable[Stray]) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    for card in cards:
        rows.setdefault(card.account_id, []).append(card.row)
    return rows
