"""Traffic is the same for the same seed, in order, in its shares, and told apart by its ids."""

from collections import Counter
from itertools import islice

import pytest

from authz.simulator.merchants import make_merchants
from authz.simulator.population import make_population
from authz.simulator.traffic import FOLLOW_UPS, REVERSALS, SHARES, Stans, Traffic

COUNT = 60_000
POPULATION = make_population(3, 2000)
TRAFFIC = Traffic(POPULATION, make_merchants(3), 3)


@pytest.fixture(scope="module")
def events():
    return list(islice(TRAFFIC, COUNT))


def gist(event):
    return event.mti, event.kind, event.elements


def test_the_same_seed_makes_the_same_traffic():
    again = Traffic(make_population(3, 2000), make_merchants(3), 3)
    other = Traffic(POPULATION, make_merchants(3), 4)
    first = [gist(event) for event in islice(TRAFFIC, 3000)]
    assert [gist(event) for event in islice(again, 3000)] == first
    assert [gist(event) for event in islice(other, 3000)] != first


def test_what_cardholders_begin_has_the_shares_of_the_table(events):
    begun = Counter(event.kind for event in events if not event.again and not event.about)
    total = sum(begun.values())
    for kind, share in SHARES.items():
        assert begun[kind] / total == pytest.approx(share, rel=0.3), kind
    assert begun["purchase"] / total == pytest.approx(1 - sum(SHARES.values()), rel=0.02)


def test_what_follows_has_the_shares_of_the_table(events):
    kinds = Counter(event.kind for event in events)
    begun = sum(1 for event in events if not event.again and not event.about)
    assert kinds["repeat"] / begun == pytest.approx(FOLLOW_UPS["repeat"], rel=0.3)
    assert kinds["duplicate"] / begun == pytest.approx(FOLLOW_UPS["duplicate"], rel=0.3)
    assert kinds["early_reversal"] / begun == pytest.approx(FOLLOW_UPS["early_reversal"], rel=0.5)
    reversals = [event for event in events if event.about]
    assert len(reversals) / begun == pytest.approx(FOLLOW_UPS["reversal"], rel=0.2)
    partial = sum(95 in event.elements for event in reversals) / len(reversals)
    assert partial == pytest.approx(REVERSALS["partial"], rel=0.3)
    unsaid = sum(90 not in event.elements for event in reversals) / len(reversals)
    assert unsaid == pytest.approx(REVERSALS["absent"], rel=0.3)
    assert {event.mti for event in events} == {"0100", "0101", "0400", "0401", "0420", "0421"}


def test_follow_ups_come_after_what_they_follow_but_for_early_reversals(events):
    position = {id(event): index for index, event in enumerate(events)}
    late = {id(event.about) for event in events if event.kind == "early_reversal"}
    for index, event in enumerate(events):
        first = event.again or event.about
        if first is None or id(first) not in position:
            continue
        if event.kind == "early_reversal":
            assert index < position[id(first)]
        else:
            assert index > position[id(first)] or id(first) in late


def test_stans_are_unique_by_acquirer_and_rrns_by_terminal(events):
    own = [event.elements for event in events if not event.again]
    assert len({(e[32], e[11]) for e in own}) == len(own)
    firsts = [event.elements for event in events if event.mti == "0100" and not event.again]
    assert len({(e[41], e[37]) for e in firsts}) == len(firsts)


def test_the_day_goes_by_in_order(events):
    times = [e.elements[13] + e.elements[12] for e in events if not e.again and not e.about]
    assert times == sorted(times)


def test_deliberate_declines_are_what_they_say(events):
    cards = {card.pan: card for card in POPULATION.cards}
    for event in events:
        card = cards.get(event.elements[2])
        if event.kind == "unknown_card":
            assert card is None
        if event.kind == "blocked_mcc" and card:
            assert event.elements[18] in card.blocked_mccs
        if event.kind == "over_limit" and card and card.per_transaction_minor:
            billed = int(event.elements.get(6, event.elements[4]))
            assert billed > card.per_transaction_minor
        if event.kind == "account_check":
            assert int(event.elements[4]) == 0
        if event.kind == "cash":
            assert event.elements[3] == "010000"


def test_runs_are_told_apart_by_their_first_stan():
    later = Traffic(POPULATION, make_merchants(3), 3, first_stan=500)
    ours = {(e.elements[32], e.elements[11]) for e in islice(TRAFFIC, 1000)}
    theirs = {(e.elements[32], e.elements[11]) for e in islice(later, 1000)}
    assert not ours & theirs


def test_a_day_may_be_told_in_few_messages():
    day = Traffic(POPULATION, make_merchants(3), 3, per_day=500)
    hours = {event.hour for event in islice(day, 400) if event.mti == "0100"}
    assert len(hours) > 20


def test_a_stan_of_zeros_is_never_used():
    stans = Stans(999_998)
    assert [stans.next("999900001") for _ in range(3)] == ["999999", "000001", "000002"]


def test_one_card_is_population_enough():
    events = list(islice(Traffic(make_population(1, 1), make_merchants(1), 1), 200))
    assert len(events) == 200
