"""A card number that must wait: sealed, so that where it waits it cannot be read.

Whoever tells a network that a card is blocked has to name it by its number, and the network may not
be there at the moment. Until it is, the number waits in the hot state under AES-256-GCM. The key is
derived from the PAN key, which the store does not have. Why, and what else was weighed:
docs/decisions/0010-announcing-blocked-cards.md.
"""

import secrets
from base64 import b64decode, b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authz.privacy import Pan, PanKeys

NONCE_BYTES = 12  # drawn; far fewer than 2^32 are ever sealed under one key
PADDED_TO = 19  # digits: the length of a number is not told by that of its seal


class Unreadable(Exception):
    """Sealed under another key, or for another card, or not sealed by us."""


class Sealer:
    """Seals and opens card numbers, each bound to the card that it is of."""

    def __init__(self, keys: PanKeys) -> None:
        self._cipher = AESGCM(keys.derived(b"sealed-pan:"))

    def seal(self, pan: Pan, card_id: str) -> str:
        """The number as text that says nothing of it."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        digits = pan.reveal().ljust(PADDED_TO).encode()
        sealed = self._cipher.encrypt(nonce, digits, card_id.encode())
        return b64encode(nonce + sealed).decode()

    def open(self, sealed: str, card_id: str) -> Pan:
        """Raises: Unreadable."""
        try:
            raw = b64decode(sealed, validate=True)
            nonce, rest = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
            return Pan(self._cipher.decrypt(nonce, rest, card_id.encode()).decode().rstrip())
        except (InvalidTag, ValueError):
            raise Unreadable from None
