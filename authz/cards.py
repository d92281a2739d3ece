"""The near-cache: card and account profiles in memory, fenced rather than trusted.

Nothing tells this cache that a profile moved. Every act carries the versions that its
plan was made from, and the hot state answers `stale` where they are old; so a card
frozen by anybody is frozen from the very next message.
"""

from msgspec import Struct

from authz.budget import Budget
from authz.hot.acts import Stale
from authz.hot.store import HotState
from authz.profiles import read_account, read_card
from rules.facts import AccountProfile, CardProfile


class Known(Struct, frozen=True, gc=False):
    """A card, its account, and the versions that they were read at."""

    card: CardProfile
    card_version: int
    account: AccountProfile
    account_version: int

    def renewed(self, stale: Stale) -> "Known":
        """The same card with the newer facts that came with `stale`."""
        return Known(
            read_card(stale.card), stale.card_version,
            read_account(stale.account), stale.account_version,
        )  # fmt: skip


class NearCache:
    """Card key to `Known`, at most `bound` of them.

    The oldest entry makes room, used or not: a miss costs one look-up, which is less
    than keeping an order of use would cost every hit.
    """

    def __init__(self, bound: int) -> None:
        assert bound > 0
        self._bound = bound
        self._known: dict[str, Known] = {}
        self.hits = self.misses = 0
        self.warm = False  # what the store has was learnt, or as much as there is room for
        self.cleared = 0  # times

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, card_key: str) -> bool:
        return card_key in self._known

    @property
    def full(self) -> bool:
        return len(self._known) >= self._bound

    def get(self, card_key: str) -> Known | None:
        known = self._known.get(card_key)
        if known is None:
            self.misses += 1
        else:
            self.hits += 1
        return known

    def put(self, card_key: str, known: Known) -> None:
        if card_key not in self._known and len(self._known) >= self._bound:
            del self._known[next(iter(self._known))]
        self._known[card_key] = known

    def clear(self) -> None:
        self._known.clear()
        self.warm = False
        self.cleared += 1

    async def find(self, hot: HotState, card_key: str, budget: Budget) -> Known | None:
        """Look a card up in the hot state and keep it. None: it is not ours.

        That is not kept: a card issued a moment from now must be found by its next message.
        Raises: HotStateError.
        """
        found = await hot.look_up(card_key, budget.left_s())
        if found is None:
            return None
        account_id, card_id = found
        at_account, account, at_card, card = await hot.profiles(
            account_id, card_id, budget.left_s()
        )
        known = Known(read_card(card), at_card, read_account(account), at_account)
        self.put(card_key, known)
        return known
