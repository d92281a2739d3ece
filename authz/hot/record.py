"""An authorization's record, as the account's hash keeps it. `prelude.lua` names the same places.

Encoded here where an authorization holds just what was asked; by the functions from then on.
What the functions do with one is said in Python below, for their twin and for the audit.
"""

from fractions import Fraction
from typing import Any

import msgspec
from msgspec import Struct

from authz.hot.acts import Authorize

ACTS_MAX = 64  # why these bounds: prelude.lua
REFERENCES_MAX = 32


class Act(Struct, frozen=True, array_like=True, order=True):
    """What came after an authorization, or before it."""

    kind: str  # full | part
    message_id: str
    sent_at: int  # seconds since 1970
    remaining: int  # of a part: what stays, in minor units
    currency: str  # of what stays; "" for the transaction's own


class Given(Struct, array_like=True):
    """The answer given to a message. Holders are the attempts that may have delivered it."""

    fingerprint: str = ""
    kind: str = ""
    detail: str = ""
    planned: str = ""
    held: int = 0
    holders: list[str] = msgspec.field(default_factory=list)


class Record(Struct, array_like=True, kw_only=True):
    """An authorization and its acts; a tombstone while `original` is empty."""

    asked: int = 0  # in the transaction's currency
    asked_in: str = ""
    approved: int = 0  # in the billing currency: the hold before any act
    currency: str = ""
    card: str = ""
    expires: int = 0
    original: str = ""  # message id of the authorization
    references: list[str] = msgspec.field(default_factory=list)
    acts: list[Act] = msgspec.field(default_factory=list)
    touched: list[tuple[str, int]] = msgspec.field(default_factory=list)  # counter, scale
    holds: int = 0
    given: Given = msgspec.field(default_factory=Given)


_encode = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.Decoder(Record).decode


def encode_record(act: Authorize) -> bytes:
    """The record of an authorization that holds all that is asked, with nothing before it."""
    record: tuple[Any, ...] = (
        act.asked_minor, act.asked_currency, act.hold_minor, act.currency, act.card_id,
        act.expires_at, act.message_id, act.references, (),
        [(limit.counter, limit.scale) for limit in act.limits], act.hold_minor,
        (act.fingerprint, "held", "", act.planned, act.hold_minor, (act.attempt,)),
    )  # fmt: skip
    return _encode(record)


def fold(record: Record) -> int:
    """What is held after all acts: a function of the set of them, whatever their order."""
    held = record.approved
    for act in record.acts:
        if act.kind == "full":
            return 0
        if act.currency in ("", record.asked_in):
            if act.remaining < record.asked:
                # round() of a Fraction is half to even.
                part = round(Fraction(act.remaining * record.approved, record.asked))
                held = min(held, part)
        elif act.currency == record.currency:
            held = min(held, act.remaining)
    return held


def add_act(acts: list[Act], act: Act) -> bool:
    """One more, unless it is there. A full one always finds its place. Whether it is kept."""
    if all(known.message_id != act.message_id for known in acts):
        if len(acts) < ACTS_MAX:
            acts.append(act)
        elif act.kind == "full":
            acts[-1] = act
        else:
            return False
    return True


def add_references(record: Record, references: tuple[str, ...] | list[str]) -> None:
    for reference in references:
        if reference not in record.references and len(record.references) < REFERENCES_MAX:
            record.references.append(reference)


def share(held: int, scale: int) -> int:
    """What a record adds to a counter while it holds that much."""
    return held if scale == 1 else int(held > 0)
