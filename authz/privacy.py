"""Card numbers stop here: beyond this room there are only keyed hashes and masks.

A plain hash of a PAN is no protection: with six digits and four known, the million
that remain are tried in a second. So the hash is keyed, and the key never enters
Redis, Postgres, a log or an argument list (PCI DSS 3.5.1.1).
"""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import NoReturn

from iso8583.mask import mask_pan

KEY_BYTES_MIN = 32
SHA256_BLOCK = 64  # bytes: RFC 2104 pads a key to it, and hashes a longer one first


class Pan:
    """A primary account number that refuses to print itself.

    Raises: ValueError for anything but 12 to 19 ASCII digits, without saying what it was.
    """

    __slots__ = ("_digits",)

    def __init__(self, digits: str) -> None:
        if not (12 <= len(digits) <= 19 and digits.isascii() and digits.isdigit()):
            raise ValueError("not a card number")
        self._digits = digits

    @property
    def masked(self) -> str:
        """First six, last four."""
        return mask_pan(self._digits)

    @property
    def bin(self) -> str:
        """The first six digits: whose card it is, and no more than may be shown of any number."""
        return self._digits[:6]

    def reveal(self) -> str:
        """The digits. Every caller of this is a place that an auditor reads."""
        return self._digits

    def __repr__(self) -> str:
        return f"Pan({self.masked})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pan) and hmac.compare_digest(self._digits, other._digits)

    def __hash__(self) -> int:
        return hash(self._digits)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a card number is not to be stored")


class PanKeys:
    """Turns card numbers into the keys we know cards by.

    `key_id` is one character in front of every hash, so that a later key can be told
    from an earlier one. Raises: ValueError for a key of under 32 bytes.
    """

    def __init__(self, secret: bytes, key_id: str = "1") -> None:
        if len(secret) < KEY_BYTES_MIN:
            raise ValueError(f"the PAN key must have at least {KEY_BYTES_MIN} bytes")
        if len(key_id) != 1 or not key_id.isalnum():
            raise ValueError("the id of the PAN key must be one letter or digit")
        self._secret = secret
        self._key_id = key_id
        # HMAC with the key's half of the work done: it is asked of each message.
        block = secret if len(secret) <= SHA256_BLOCK else sha256(secret).digest()
        block = block.ljust(SHA256_BLOCK, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block) + b"card-key:")
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def card_key(self, pan: Pan) -> str:
        """What the directory finds a card by: 23 characters."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(pan.reveal().encode())
        outer.update(inner.digest())
        return self._key_id + urlsafe_b64encode(outer.digest()[:16])[:22].decode()

    def card_id(self, pan: Pan) -> str:
        """The id that a new card gets. It stays when keys rotate: the directory remembers it.

        Derived rather than drawn, so that a load that was cut short can be run again.
        """
        digest = hmac.digest(self._secret, b"card-id:" + pan.reveal().encode(), "sha256")
        return "c" + digest.hex()[:19]

    def derived(self, label: bytes) -> bytes:
        """Another key of 32 bytes, for one use, that tells nothing of this one."""
        return hmac.digest(self._secret, b"derived:" + label, "sha256")

    @property
    def check(self) -> str:
        """What a store remembers of the key that its cards are kept under: enough to know it
        again, and nothing to find it by."""
        digest = hmac.digest(self._secret, b"key-check:", "sha256")
        return self._key_id + urlsafe_b64encode(digest[:16]).decode().rstrip("=")

    def __repr__(self) -> str:
        return f"PanKeys(key_id={self._key_id!r})"
