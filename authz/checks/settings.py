"""How an optional check is set up: where it answers, how long it may take, what it may tell.

docs/checks.md has the same for those who write one.
"""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

LOOPBACK = "127.0.0.1"
CHECKS_MAX = 8  # each is a question for every request, written and read on the event loop
# What the hot state keeps of its deadline, whatever checks take: an answer of a store of our own
# takes one or two, and ten times that when its disk is busy.
REST_MS = 50

Tells = Literal["risk", "device", "ip", "authenticated", "token"]
WhenSpent = Literal["skip", "decline", "refer"]


class CheckConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One check beside the decision: asked about every request that facts alone do not decline."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9._-]{1,32}$")]  # in the journal and in metrics
    connect: str  # unix:///path, or host:port; without a host on this machine
    share_ms: Annotated[int, Meta(ge=1, le=60_000)]  # of the hot deadline: for its answer
    when_spent: WhenSpent  # what follows where there was none
    tells: Annotated[tuple[Tells, ...], Meta(min_length=1)]  # all else that it says is ignored

    def address(self) -> str | tuple[str, int]:
        """A path, or host and port. Raises: ValueError."""
        if self.connect.startswith("unix://"):
            path = self.connect.removeprefix("unix://")
            if not path.startswith("/"):
                raise ValueError
            return path
        parts = urlsplit(f"//{self.connect}")
        if not parts.port or parts.path or "@" in parts.netloc:
            raise ValueError
        return parts.hostname or LOOPBACK, parts.port


NEEDED = ("name", "connect", "share_ms", "when_spent", "tells")


def problem_of(rows: tuple[CheckConfig, ...], hot_deadline_ms: int) -> str:
    """What no single key can tell; begins with the key that is wrong. "" where nothing is."""
    if len(rows) > CHECKS_MAX:
        return f"check: at most {CHECKS_MAX}"
    names: set[str] = set()
    for at, row in enumerate(rows):
        try:
            row.address()
        except ValueError:
            return f"check[{at}].connect: expected unix:///path or host:port"
        if row.name in names:
            return f"check[{at}].name: used twice"
        names.add(row.name)
        # All are asked at the same time, so what the slowest may take is what is waited for.
        if row.share_ms + REST_MS > hot_deadline_ms:
            room = max(0, hot_deadline_ms - REST_MS)
            return (
                f"check[{at}].share_ms: at most {room}, so that the hot state keeps {REST_MS} of "
                "engine.hot_deadline_ms"
            )
    return ""
