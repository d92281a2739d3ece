"""Composites for tests: every shape, nested, and parts to fill any of them."""

from random import Random
from typing import Any

import pytest

from iso8583.composite import Ber, Bitmapped, Positional, Repeated, Tagged
from iso8583.element import Element, Inside
from iso8583.parts import Given
from iso8583.spec import (
    ANS,
    ASCII,
    EBCDIC,
    HEX,
    RAW,
    B,
    Composite,
    Dialect,
    Field,
    N,
    fixed,
    l1,
    lll,
    rest,
)
from tests.support.iso import NETWORKS, value_of

TLV = Composite(
    Ber(),
    (
        Field("5A", "pan", B, rest(10), secret=True),
        Field("95", "verification_results", B, fixed(5)),
        Field("9F36", "counter", B, fixed(2)),
        Field("57", "track_2", B, rest(19), secret=True),
    ),
)
FLAGS = Composite(Positional(), (Field(1, "one", N, fixed(1)), Field(2, "two", ANS, fixed(2))))

# One field for each shape, and each shape inside another one.
EVERY_SHAPE = Dialect(
    "every shape",
    Field(2, "pan", N, l1(19), secret=True),
    Field(44, "results", ANS, l1(25), inside=Composite(
        Positional(may_end_early=True),
        (Field(1, "source", ANS, fixed(1)), Field(2, "avs", ANS, fixed(1)),
         Field(3, "flags", ANS, fixed(3), inside=FLAGS), Field(4, "note", ANS, rest(20))),
    )),
    Field(48, "tagged", B, lll(999), prefix=EBCDIC, secret=True, inside=Composite(
        Tagged(tag=2, length=2, lead=Field("tcc", "category", ANS, fixed(1))),
        (Field("42", "security", B, rest(99), secret=True, inside=Composite(
            Tagged(tag=2, length=2), (Field("01", "level", N, fixed(3), coding=EBCDIC),),
         )),
         Field("61", "support", ANS, fixed(3), inside=FLAGS),
         Field("92", "cvc2", N, fixed(3), coding=EBCDIC, secret=True)),
    )),
    Field(54, "amounts", ANS, l1(120), inside=Composite(
        Repeated(),
        (Field(1, "type", N, fixed(2)), Field(2, "sign", ANS, fixed(1)),
         Field(3, "amount", N, fixed(4))),
    )),
    Field(55, "chip", B, l1(255), secret=True, inside=TLV),
    Field(56, "datasets", B, l1(255), secret=True, inside=Composite(
        Tagged(tag=1, length=2, coding=RAW),
        (Field("01", "chip", B, rest(255), secret=True, inside=TLV),),
    )),
    Field(62, "bits", B, l1(255), inside=Composite(
        Bitmapped(8),
        (Field(1, "indicator", ANS, fixed(1)), Field(2, "identifier", N, fixed(15)),
         Field(3, "code", ANS, fixed(4)), Field(64, "last", N, l1(9), lenient=True)),
    )),
    Field(63, "small_bits", B, l1(255), inside=Composite(
        Bitmapped(3), (Field(1, "network", N, fixed(4)), Field(24, "last", B, fixed(1))),
    )),
    Field(127, "nested", B, lll(999), prefix=ASCII, secret=True, inside=Composite(
        Bitmapped(8),
        (Field(2, "key", ANS, l1(32)),
         Field(25, "icc", B, lll(500), prefix=ASCII, secret=True, inside=Composite(
             Bitmapped(8, HEX),
             (Field(2, "amount", N, fixed(12), coding=ASCII),
              Field(3, "chip", B, lll(400), prefix=ASCII, secret=True, inside=TLV)),
         ))),
    )),
    mti=EBCDIC, bitmap=RAW, lengths=RAW, numbers=EBCDIC, binary=RAW, text=EBCDIC,
)  # fmt: skip

COMPOSED = [dialect for dialect in (*NETWORKS, EVERY_SHAPE) if dialect.insides]
each_composed = pytest.mark.parametrize("dialect", COMPOSED, ids=lambda d: d.name)


def any_parts(inside: Inside, randomly: Random, budget: int = 40) -> dict[Any, Given]:
    """Parts that the composite can hold; tagged ones in any order, unknown tags among them.

    The budget bounds the length of each value, so that the whole fits its field.
    """
    elements = list(inside.elements.values())
    match inside.shape:
        case Positional() as shape:
            kept = randomly.randint(1, len(elements)) if shape.may_end_early else len(elements)
            while shape.half_bytes and sum(part.maximum for part in elements[:kept]) % 2:
                kept -= 1  # whole bytes only
            return {part.number: a_value(part, randomly, budget) for part in elements[:kept]}
        case Repeated():
            return {
                turn: {part.number: a_value(part, randomly, budget) for part in elements}
                for turn in range(1, randomly.randint(1, 6) + 1)
            }
        case Bitmapped():
            chosen = randomly.sample(elements, randomly.randint(0, min(len(elements), 6)))
            return {part.number: a_value(part, randomly, budget) for part in chosen}
        case Tagged() as shape:
            width = shape.tag * (2 if inside.coding is RAW else 1)
            unknown = "".join(randomly.choices("0123456789", k=width))
            front = {} if inside.lead is None else {inside.lead.number: "R"}
        case Ber():
            unknown, front = randomly.choice(["DF01", "9F7F", "DF8101", "C0", "FF01"]), {}
    chosen = randomly.sample(elements, randomly.randint(0, min(len(elements), 5)))
    parts: dict[Any, Given] = {part.number: a_value(part, randomly, budget) for part in chosen}
    if unknown not in inside.elements:
        nested = isinstance(inside.shape, Ber) and int(unknown[:2], 16) & 0x20
        strange = randomly.randbytes(randomly.randint(0, 9))
        parts[unknown] = {"9F36": b"\0\1"} if nested and "9F36" in inside.elements else strange
        if nested and "9F36" not in inside.elements:
            del parts[unknown]
    return front | parts


def a_value(part: Element, randomly: Random, budget: int) -> Given:
    if part.inside is not None:
        return any_parts(part.inside, randomly, budget // 2)
    length = (
        part.maximum if part.is_fixed else randomly.randint(1, max(1, min(part.maximum, budget)))
    )
    return value_of(part, length, randomly)
