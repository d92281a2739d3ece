"""One cleared item, as far as any format tells of it."""

import re
from datetime import date
from enum import StrEnum
from hashlib import blake2b
from operator import attrgetter

import msgspec
from msgspec import Struct, structs

from ledger.clearing.pan import Pan

LIKE_A_PAN = re.compile("[0-9]{13,}")  # in a name it has no business, and names are shown
EXACT_MAX = 2**53 - 1  # the hot state counts in doubles; see authz' own amounts


class Kind(StrEnum):
    """What was cleared. A reversal of each is the same kind with `reversal` set."""

    PRESENTMENT = "presentment"  # of a sale
    REFUND = "refund"
    CASH = "cash"
    CHARGEBACK = "chargeback"  # ours, or an echo of it
    SECOND_PRESENTMENT = "second_presentment"  # the acquirer's answer to a chargeback
    FEE = "fee"


# What a chargeback or a second presentment can be of; a first presentment is of itself.
FIRST = (Kind.PRESENTMENT, Kind.REFUND, Kind.CASH)
DISPUTED = (Kind.CHARGEBACK, Kind.SECOND_PRESENTMENT)


class Fee(Struct, frozen=True, kw_only=True, gc=False):
    """An amount that is charged on top, and between whom is the network's affair."""

    name: str  # the network's own name of it
    sign: int  # +1: we pay it, -1: we are given it, 0: not told
    amount: int
    currency: str  # ISO 4217 numeric; "" where not told
    decimals: int = -1  # behind the point of a major unit; -1: minor units of its currency


class ClearedItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one record of a clearing file says: this card's money moved, and how to find why.

    Amounts are unsigned minor units of the currency beside them. Text that the file does not tell
    is "". Nothing here depends on where in a file the item stood, but `record`.
    """

    record: int  # counted from 1, of all records of the file; a CSV's line
    network: str  # visa | mastercard, or what a CSV says
    kind: Kind
    of: Kind  # FIRST, of a dispute: what was disputed; else `kind`
    sign: int  # +1: the cardholder, or we, are to pay; -1: to be paid
    reversal: bool = False
    partial: bool = False  # of a dispute: less than all of it, where told
    pan: Pan | None = None  # None: a fee that is no card's

    transaction_minor: int
    transaction_currency: str  # ISO 4217 numeric
    billing_minor: int = 0  # what the cardholder is to be billed; 0 and "" where not told
    billing_currency: str = ""
    billing_rate: str = ""  # a decimal; of the transaction's currency for one of billing's
    settlement_minor: int = 0  # what the network settles with us
    settlement_currency: str = ""
    settlement_rate: str = ""
    fees: tuple[Fee, ...] = ()

    # The rungs of the ladder to its authorization; `life_cycle` as the engine spells it.
    arn: str = ""  # 23 digits, the last of them checks
    life_cycle: str = ""  # Visa: transaction id; Mastercard: reference, blank, MMDD
    rrn: str = ""  # DE 37
    approval_code: str = ""  # DE 38
    stan: str = ""  # DE 11; of our formats only a CSV tells it
    local_date: date | None = None
    local_time: str = ""  # hhmmss

    mcc: str = ""
    merchant_id: str = ""
    merchant_name: str = ""
    merchant_city: str = ""
    merchant_country: str = ""  # as told: Mastercard has three letters, Visa two
    terminal_id: str = ""
    acquirer_id: str = ""
    reason: str = ""  # the network's code: why disputed, why a fee
    reference: str = ""  # a dispute's, that it keeps on its way; a fee's own number
    clearing_number: int = 0  # which of several clearings of one authorization; 0: not told
    clearing_count: int = 0  # of how many

    def __post_init__(self) -> None:
        assert self.sign in (-1, 1), self.sign
        assert 0 <= self.transaction_minor <= EXACT_MAX
        assert self.of in FIRST if self.kind in DISPUTED else self.of is self.kind
        assert self.kind is Kind.FEE or self.sign == sign_of(self.kind, self.of, self.reversal)

    @property
    def name(self) -> str:
        """The kind in one word, as totals are kept by."""
        return f"{self.kind}_reversal" if self.reversal else str(self.kind)


def sign_of(kind: Kind, of: Kind, reversal: bool) -> int:
    """Who pays. A chargeback turns what it is of round, and so does a reversal of anything."""
    assert kind is not Kind.FEE, "a fee says itself"
    sign = -1 if of is Kind.REFUND else 1
    if kind is Kind.CHARGEBACK:
        sign = -sign
    return -sign if reversal else sign


def shown(text: str) -> str:
    """A text as a file has it, fit to be shown: without what pads it, and nothing in it that a
    terminal would obey."""
    text = text.strip()
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def name_of(text: str) -> str:
    """A name or a city, which is kept and shown: a card number in it is struck out."""
    return LIKE_A_PAN.sub(lambda found: "?" * len(found[0]), shown(text))


def is_arn(text: str) -> bool:
    """Whether this is an acquirer reference number: 23 digits, the last of them Luhn's."""
    if len(text) != 23 or not (text.isascii() and text.isdigit()):
        return False
    return text[22] == check_digit(text[:22])


# A digit doubled, and its own digits added up; as characters, since these have a `translate`.
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
_SINGLE = bytes.maketrans(b"0123456789", bytes(range(10)))


def check_digit(digits: str) -> str:
    """Luhn's, over these."""
    backwards = digits.encode()[::-1]
    doubled, single = backwards[::2].translate(_DOUBLED), backwards[1::2].translate(_SINGLE)
    return str(-(sum(doubled) + sum(single)) % 10)


def content_hash(item: ClearedItem, card_key: str) -> str:
    """What makes an item itself where it has no ARN: 24 hexadecimal digits.

    The same item in another file, at another place, in another encoding has the same. The card
    stands in it by the key it is kept under, never by its number: a hash of a PAN beside its first
    six and last four digits is soon undone.
    """
    return _digest(item, card_key, b"").hex()


def item_key(item: ClearedItem, card_key: str) -> str:
    """What makes an item itself, of its network: the same in any file and encoding.

    Its ARN with its kind and clearing number; of a dispute with its reference too, since one item
    may be disputed in parts. A fee, and what has no ARN, by all that it says.
    """
    if not item.arn or item.kind is Kind.FEE:
        return content_hash(item, card_key)
    reference = item.reference if item.kind in DISPUTED else ""
    told = (item.arn, item.kind, item.of, item.reversal, item.clearing_number, reference)
    return blake2b(_encode(told), digest_size=12, person=b"cleared arn").hexdigest()


def pack_item(item: ClearedItem) -> bytes:
    """An item to be kept: without its card number, which `unpack_item` cannot give back."""
    return _encode(structs.replace(item, pan=None))


def unpack_item(packed: bytes) -> ClearedItem:
    """Raises: msgspec.MsgspecError."""
    return _unpack(packed)


def _digest(item: ClearedItem, card: str, key: bytes) -> bytes:
    return blake2b(
        _encode((card, _told(item))), key=key, digest_size=12, person=b"cleared item"
    ).digest()


_told = attrgetter(*(n for n in ClearedItem.__struct_fields__ if n not in ("record", "pan")))
_encode = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(ClearedItem).decode


class Seen:
    """Which items of one file there were, to find one that is there twice.

    Twelve bytes of a hash each, keyed with what only this object knows: card numbers go in.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._digests: set[bytes] = set()

    def again(self, item: ClearedItem) -> bool:
        digest = _digest(item, item.pan.reveal() if item.pan else "", self._secret)
        if digest in self._digests:
            return True
        self._digests.add(digest)
        return False
