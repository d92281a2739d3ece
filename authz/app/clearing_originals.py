"""The earlier records that a page of a file takes back or disputes, and what is left of each."""

from msgspec.structs import replace

from ledger.cleared import Cleared, Original, Waiting
from ledger.clearing.record import ClearedItem, content_hash, unpack_item

Row = tuple[Waiting, ClearedItem]


class Originals:
    """Of one page at a time; what the page itself takes back is counted."""

    def __init__(self, cleared: Cleared) -> None:
        self._cleared = cleared
        self._found: list[Original] = []
        self._taken: dict[str, int] = {}  # by message id: what is taken back of it

    async def find(self, rows: list[Row]) -> None:
        """Look up what these may name."""
        self._found, self._taken = [], {}
        networks = {item.network for _, item in rows}
        for network in sorted(networks):
            mine = [(row, item) for row, item in rows if item.network == network]
            arns = {item.arn for _, item in mine if item.arn}
            content = {first_key(item, row.card_key) for row, item in mine if item.reversal}
            self._found += await self._cleared.originals(network, arns, content)

    def of(self, item: ClearedItem, row: Waiting, *, disputed: bool) -> Original | None:
        """The earlier record that this one names: of its ARN, or the same in all but being one that
        takes back. One with enough left, and of the same amount, before others."""
        kind = str(item.of if disputed else item.kind)
        key = "" if disputed else first_key(item, row.card_key)
        fit = [
            one
            for one in self._found
            if (one.kind, one.transaction_currency) == (kind, item.transaction_currency)
            and ((item.arn and one.arn == item.arn) or one.item_key == key)
            and (disputed or is_same_part(item, one))
        ]

        def rank(one: Original) -> tuple[bool, bool]:
            left = one.transaction_minor - self.taken_of(one)
            return left >= item.transaction_minor, left == item.transaction_minor

        return max(fit, key=rank, default=None)

    def taken_of(self, one: Original) -> int:
        """So much of its amount is taken back so far."""
        return self._taken.get(one.message_id, one.taken_back_minor)

    def take(self, one: Original, amount_minor: int) -> None:
        """So much more of it is taken back."""
        self._taken[one.message_id] = self.taken_of(one) + amount_minor


def first_key(item: ClearedItem, card_key: str) -> str:
    """The key by content of what a reversal without an ARN takes back."""
    return content_hash(replace(item, reversal=False, sign=-item.sign), card_key)


def is_same_part(item: ClearedItem, original: Original) -> bool:
    """Whether it is of the same clearing, of several."""
    told = unpack_item(original.told).clearing_number
    return not (item.clearing_number and told) or item.clearing_number == told
