"""The twin's control acts, and what engines read: the part of memory.py that decides nothing."""

from authz.hot import keys
from authz.hot.acts import PutAccount, PutCard, PutCardSaid
from authz.hot.model import Account
from authz.hot.outbox import MemoryOutbox
from authz.hot.quotas import MemoryQuotas


class MemoryControl(MemoryOutbox, MemoryQuotas):
    """Accounts, cards and the directory."""

    accounts: dict[str, Account]
    cards: dict[str, tuple[int, bytes, str]]
    directory: dict[str, tuple[str, str]]

    def _enter(self, deadline_ms: int) -> None:
        raise NotImplementedError

    def _account(self, account_id: str) -> Account:
        raise NotImplementedError

    async def look_up(self, card_key: str, timeout_s: float = 0) -> tuple[str, str] | None:
        return self.directory.get(card_key)

    async def profiles(
        self, account_id: str, card_id: str, timeout_s: float = 0
    ) -> tuple[int, bytes, int, bytes]:
        account, card = self._account(account_id), self.cards[card_id]
        return account.version, account.profile, card[0], card[1]

    async def card_keys(
        self, cursor: bytes, count: int, timeout_s: float = 0
    ) -> tuple[bytes, list[str]]:
        at, names = int(cursor), list(self.directory)
        following = at + count if at + count < len(names) else 0
        return str(following).encode(), names[at : at + count]

    async def put_account(self, act: PutAccount, timeout_s: float = 0) -> str:
        self._enter(0)
        account = self.accounts.get(act.account_id)
        if account is None:
            self.accounts[act.account_id] = Account(
                1, act.profile, {act.currency: act.opening_minor}, {act.currency: 0},
                quotas=self.quotas_in(keys.shard_of(act.account_id)),
            )  # fmt: skip
            return "created"
        if account.profile == act.profile:
            return "same"
        if act.currency not in account.posted:
            return "currency_fixed"
        account.version, account.profile = account.version + 1, act.profile
        return "moved"

    async def put_card(self, act: PutCard, timeout_s: float = 0) -> PutCardSaid:
        self._enter(0)
        if act.account_id not in self.accounts:
            return PutCardSaid("no_account")
        old = self.cards.get(act.card_id)
        if act.made_from not in (-1, old[0] if old else 0):
            return PutCardSaid("other")
        verdict = "same" if old and old[1] == act.profile else "moved" if old else "created"
        version = (old[0] if old else 0) + (verdict != "same")
        self.cards[act.card_id] = (version, act.profile, act.account_id)
        shard = keys.shard_of(act.account_id)
        return PutCardSaid(verdict, *self.plan_words(shard, act.card_id, act.words, version))

    async def put_directory(
        self, card_key: str, account_id: str, card_id: str, timeout_s: float = 0
    ) -> None:
        self.directory[card_key] = (account_id, card_id)
