"""What is said to a check, and what it may say back: JSON, a line each. docs/checks.md has both.

A question has the facts of the request and the ids of card and account: our own. The key that the
card is found by and its expiry stay here.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from rules.facts import AuthorizationRequest

# Of a request's facts, what a check is not told: how the card is found, its expiry and BIN, and
# what checks themselves are there to tell.
KEPT = frozenset({"card_key", "expiry", "bin", "device", "ip", "skipped", "skipped_means"})
SAID = tuple(name for name in AuthorizationRequest.__struct_fields__ if name not in KEPT)

LINE_MAX = 4096  # bytes of a reply; all that one may tell has 200

RISK = Annotated[int, Meta(ge=0, le=999)]
TEXT = Annotated[str, Meta(pattern="^[!-~]{0,64}$")]
KINDS: dict[str, Any] = {
    "risk": RISK, "device": TEXT, "ip": TEXT, "authenticated": bool, "token": bool,
}  # fmt: skip
# In a text that is kept: what a card number could be, in a row or in a card's groups.
LIKE_A_PAN = re.compile(r"[0-9]{12,19}|[0-9]{4}(?:[-._][0-9]{4}){3}|[0-9]{4}[-._][0-9]{6}[-._]")


class Told(Struct, frozen=True, gc=False):
    """What a check said of one request; of what it did not say, nothing."""

    risk: int = 0
    device: str = ""
    ip: str = ""
    authenticated: bool = False
    token: bool = False


class Named(Struct, gc=False):
    """Of a reply, which question it is to."""

    id: int


_encode = msgspec.json.Encoder().encode
_named = msgspec.json.Decoder(Named)


def question(
    request: AuthorizationRequest, card_id: str, account_id: str, id: int, left_ms: int
) -> bytes:
    """One line. `left_ms`: when its answer would be late."""
    facts = {name: getattr(request, name) for name in SAID}
    asked = {"id": id, "left_ms": left_ms, "card_id": card_id, "account_id": account_id}
    return _encode(asked | facts) + b"\n"


class Reader:
    """Reads the replies of one check, of which only what it is there to tell counts."""

    def __init__(self, tells: Sequence[str]) -> None:
        fields = [(name, KINDS[name] | None, None) for name in tells]
        self._tells = tuple(tells)
        self._reply = msgspec.json.Decoder(msgspec.defstruct("Reply", fields, gc=False))

    def id_of(self, line: bytes) -> int:
        """Raises: msgspec.MsgspecError, where it is no reply at all."""
        return _named.decode(line).id

    def told(self, line: bytes) -> Told:
        """Raises: ValueError (msgspec's among it), where something is out of its range."""
        reply = self._reply.decode(line)
        said = {name: getattr(reply, name) for name in self._tells}
        told = Told(**{name: value for name, value in said.items() if value is not None})
        if told.ip:
            ip_address(told.ip)
        if LIKE_A_PAN.search(told.device):
            raise ValueError("device: like a card number")
        return told
