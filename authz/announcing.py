"""Which networks hear that a card is blocked here, or not any more: for those who change cards.

The word is queued in the same step as the change (authz/hot/outbox.lua), and told by an engine with
a link to the network (authz/announcer.py).
"""

from collections.abc import Iterable

from authz.config import LinkConfig
from authz.hot.outbox import Word
from authz.privacy import Pan, PanKeys
from authz.sealing import Sealer
from authz.wire.networks import NETWORKS
from rules.facts import CardState

# What a network is told of: it would approve in our stead while it cannot reach us. A card that was
# never activated or is past its month is known there from the card itself.
BLOCKED = frozenset({CardState.FROZEN, CardState.LOST, CardState.STOLEN, CardState.CLOSED})


class Announcing:
    """Says what is to be announced of a card in this state."""

    def __init__(self, keys: PanKeys, networks: tuple[str, ...]) -> None:
        self.networks = networks
        self._sealer = Sealer(keys)

    def of(self, pan: Pan, card_id: str, state: CardState) -> tuple[Word, ...]:
        """One word for each network; which of them are news is told where they are kept."""
        code = code_of(state)
        if code is None:
            return ()
        sealed = self._sealer.seal(pan, card_id)
        return tuple(Word(network, code, sealed) for network in self.networks)


def turned(state: CardState) -> tuple[Word, ...]:
    """One word for every network there is, of a card whose number is not known here: where a word
    on it waits to be told, its number is there, and it must not go on saying the opposite."""
    code = code_of(state)
    return () if code is None else tuple(Word(network, code, "") for network in NETWORKS)


def code_of(state: CardState) -> str | None:
    """What is said of a card in this state. None: nothing."""
    if state in BLOCKED:
        return "add"
    return "delete" if state is CardState.ACTIVE else None


def networks_told(links: Iterable[LinkConfig]) -> tuple[str, ...]:
    """The networks that keep a file of our blocked cards, each once, in order."""
    return tuple(sorted({link.network for link in links if link.file_update is not None}))
