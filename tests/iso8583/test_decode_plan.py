"""A decode plan may give up, but what it says is what the table says."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso8583.codec import decode_slowly, encode_slowly
from iso8583.decode_plan import GIVES_UP, make_decode_plan
from iso8583.errors import DecodeError
from iso8583.message import Message
from iso8583.plans import Plan
from iso8583.slow_reader import read_bitmaps
from iso8583.spec import ASCII, B, Dialect
from tests.support.iso import DIALECTS, NETWORKS, damaged, field_sets, mtis, purchase_in, value_of


def planned(plan: Plan, raw: bytes) -> Message | None:
    try:
        return plan(raw)
    except GIVES_UP:
        return None


def slowly(raw: bytes, dialect: Dialect) -> Message | None:
    try:
        return decode_slowly(raw, dialect)
    except DecodeError:
        return None


def plan_for(raw: bytes, dialect: Dialect) -> tuple[Plan, int]:
    numbers, at = read_bitmaps(raw, dialect)
    mti = decode_slowly(raw, dialect).mti
    return make_decode_plan(dialect, mti, numbers, at), at


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
@given(data=st.data())
def test_a_plan_reads_what_the_table_reads(dialect, data):
    fields = data.draw(field_sets(dialect))
    raw = encode_slowly(data.draw(mtis), fields, dialect)
    plan, _ = plan_for(raw, dialect)

    message = planned(plan, raw)

    slow = decode_slowly(raw, dialect)
    if message is None:
        # Only an empty value among characters may make it shy: no test of C's likes "".
        assert "" in fields.values()
    else:
        assert message == slow
        assert message.layout.index == slow.layout.index


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
@given(data=st.data())
def test_a_plan_refuses_what_the_table_refuses(dialect, data):
    raw = encode_slowly("0100", data.draw(field_sets(dialect, min_size=1)), dialect)
    plan, at = plan_for(raw, dialect)

    broken = data.draw(damaged(raw, first=at))

    message = planned(plan, broken)
    if message is not None:
        assert message == slowly(broken, dialect)


@pytest.mark.parametrize("dialect", NETWORKS, ids=lambda d: d.name)
def test_every_changed_byte_of_a_purchase_is_judged_alike(dialect):
    raw = encode_slowly("0100", purchase_in(dialect), dialect)
    plan, at = plan_for(raw, dialect)
    assert planned(plan, raw) == decode_slowly(raw, dialect)

    for place in range(at, len(raw)):
        for byte in b"\x00\x0a +-09=AFadf\x7f\x80\xb2\xd0\xdd\xff":
            broken = raw[:place] + bytes((byte,)) + raw[place + 1 :]
            message, slow = planned(plan, broken), slowly(broken, dialect)
            # A filler on the other side is left to the table, which may be lenient.
            shy = message is None and any(field.lenient for field in dialect.fields.values())
            assert shy or message == slow, (place, byte)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_each_field_alone_has_a_plan(dialect):
    for field in dialect.fields.values():
        value = value_of(field, field.maximum, Random(field.number))
        raw = encode_slowly("0800", {field.number: value}, dialect)
        plan, _ = plan_for(raw, dialect)
        assert planned(plan, raw) == decode_slowly(raw, dialect), field
        if field.coding is ASCII and field.characters is not B:
            assert planned(plan, raw[:-1] + b"\x07") is None
