"""A mix has the shares that were asked for, and nothing follows what it cannot follow."""

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.simulator.merchants import make_merchants
from authz.simulator.messages import stamp
from authz.simulator.population import make_population
from authz.simulator.traffic import Traffic
from bench.mix import BILLED, SHARES, BadMix, Following, Mix, parsed, share_of
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME

PEOPLE, MERCHANTS = make_population(1, 200), make_merchants(1)
DIALECT = BY_NAME["iso87_ascii"]


def some(mix, count, seed=1):
    traffic = Traffic(PEOPLE, MERCHANTS, seed, following=lambda: Following(mix))
    return list(islice(traffic, count))


@pytest.mark.parametrize(
    "mix", [Mix(), parsed("authorizations=50,repeats=10,reversals=10,advices=15,completions=15")]
)
def test_the_shares_are_those_that_were_asked_for(mix):
    events = some(mix, 12_000)
    found = Counter(share_of(event) for event in events)
    for share in SHARES:
        # What follows comes up to 600 messages later, so the first ones lack it.
        assert found[share] / len(events) * 100 == pytest.approx(getattr(mix, share), abs=3.0)
    assert set(found) == set(SHARES)


def name(event):
    """Acquirers count for themselves."""
    return event.elements[32], event.elements[37]


def test_the_same_seed_says_the_same():
    said = [(e.mti, dict(stamp(e, "1121000000"))) for e in some(Mix(), 500)]
    assert said == [(e.mti, dict(stamp(e, "1121000000"))) for e in some(Mix(), 500)]
    assert said != [(e.mti, dict(stamp(e, "1121000000"))) for e in some(Mix(), 500, seed=2)]


def test_what_follows_names_what_it_follows_and_comes_after_it():
    events = some(Mix(60, 10, 10, 10, 10), 4000)
    firsts = {name(e): n for n, e in enumerate(events) if share_of(e) == "authorizations"}
    for number, event in enumerate(events):
        share = share_of(event)
        if share in ("reversals", "completions"):
            at = firsts[name(event)]
            first = events[at]
            assert at < number
            assert first.kind in BILLED
            assert event.elements[11] != first.elements[11]
            assert event.elements[4] == first.elements[4]
        elif share == "repeats":
            assert event.elements is event.again.elements
        elif share == "advices":
            assert name(event) not in firsts
            assert event.elements[39] == "00"


def test_every_message_of_it_can_be_written_and_read():
    for event in some(Mix(60, 10, 10, 10, 10), 1000):
        elements = stamp(event, "1121000000")
        assert decode(encode(event.mti, elements, DIALECT), DIALECT).to_dict() == elements


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no share"),
        ("purchases=100", "is no share"),
        ("authorizations", "no number"),
        ("authorizations=x", "no number"),
        ("authorizations=nan", "no per cent"),
        ("authorizations=-1", "no per cent"),
        ("authorizations=110,repeats=-10", "no per cent"),
        ("authorizations=90", "add up to 90, not to 100"),
        ("authorizations=50,repeats=50,authorizations=0", "twice"),
        ("authorizations=49,repeats=51", "at least 50"),
    ],
)
def test_what_is_no_mix(text, why):
    with pytest.raises(BadMix, match=why):
        parsed(text)


@given(st.lists(st.integers(0, 12), min_size=4, max_size=4))
def test_a_mix_reads_back_as_it_is_written(others):
    mix = Mix(100.0 - sum(others), *map(float, others))
    assert parsed(str(mix)) == mix
