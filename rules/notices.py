"""What a network says about itself and not about a card: its day, its counts, its notices."""

from msgspec import Struct


class CutOver(Struct, frozen=True, kw_only=True, gc=False):
    """The network's word that its business day is over (DE 70 = 201; of 1993, DE 24 = 821)."""

    network: str
    mti: str
    stan: str
    sent_at: int  # DE 7 as seconds since 1970, UTC
    forwarder_id: str  # DE 33
    day: int  # DE 15: the day that begins, in days since 1970; 0 where it is not told


class Administrative(Struct, frozen=True, kw_only=True, gc=False):
    """An administrative advice (0620): that it came, and nothing of its text, which is free."""

    network: str
    mti: str
    stan: str
    sent_at: int
    acquirer_id: str  # DE 32
    forwarder_id: str  # DE 33
    elements: tuple[int, ...]  # numbers of the data elements that it had, none of their content
