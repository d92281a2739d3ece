"""What the network clears: of what it saw approved, by the seed, and to the cent."""

from collections import Counter
from datetime import date
from itertools import islice

import pytest

from authz.simulator.clearing import SHARES, Presentment, approved_of, clear, key_of
from authz.simulator.merchants import make_merchants
from authz.simulator.messages import Event, stamp
from authz.simulator.population import make_population, with_luhn
from authz.simulator.report import Report
from authz.simulator.traffic import Traffic

TODAY = date(2026, 11, 21)
PEOPLE = make_population(3, 300, TODAY)


def a_run(many: int = 2000, seed: int = 3) -> tuple[list[Event], Report]:
    """Everything is answered with 00, but cards that nobody issued."""
    traffic = Traffic(PEOPLE, make_merchants(seed), seed, first_day=TODAY, per_day=many)
    events = list(islice(traffic, many))
    report = Report()
    ours = {card.pan for card in PEOPLE.cards}
    for number, event in enumerate(events):
        stamp(event, f"1121{number % 24:02}{number // 24 % 60:02}00")
        code = "00" if event.elements[2] in ours else "14"
        report.answers.setdefault(key_of(event), f"{code}A{number:05}" if code == "00" else code)
    return events, report


def cleared(network: str = "visa", **changes: object) -> tuple[Presentment, ...]:
    events, report = a_run()
    told = clear(network, events, report, PEOPLE, seed=1, day=TODAY, **changes)  # type: ignore[arg-type]
    return told.presentments


def test_the_same_seed_clears_the_same() -> None:
    assert cleared() == cleared()
    assert {one.arn for one in cleared()}.isdisjoint(
        {one.arn for one in cleared(first_number=10**6)} - {""}
    )


def test_each_story_is_told_in_about_its_share() -> None:
    events, report = a_run()
    told = clear("visa", events, report, PEOPLE, seed=1, day=TODAY)
    stories = Counter(one.story for one in told.presentments)
    many = len(approved_of(events, report))
    for name in set(SHARES) - {"parts", "refunded", "taken_back", "missing"}:
        assert stories[name] == pytest.approx(SHARES[name] * many, rel=0.4), name
    assert len(told.missing) == pytest.approx(SHARES["missing"] * many, rel=0.4)
    assert stories["after_reversal"] >= 1
    assert stories["stray"] >= stories["nobodys"] >= stories["fee"] >= 1


@pytest.mark.parametrize("counts", [True, False])
def test_a_few_approvals_tell_every_story_that_they_can(counts: bool) -> None:
    events, report = a_run(60)
    told = clear("visa", events, report, PEOPLE, seed=1, day=TODAY, counts_parts=counts)
    assert {one.story for one in told.presentments} >= set(SHARES) - {"missing"}
    assert told.missing
    parts = [one for one in told.presentments if one.story == "parts"]
    names = [one.expected for one in parts if one.authorization == parts[0].authorization]
    first, last = ("cleared_part", "cleared_part") if counts else ("cleared_below", "cleared_above")
    assert (names[0], names[-1]) == (first, last)


def test_amounts_are_what_the_story_says_of_the_hold() -> None:
    events, report = a_run()
    held = {one.key: one for one in approved_of(events, report)}
    of: dict[str, list[Presentment]] = {}
    for one in cleared():
        if one.authorization and one.kind != "refund" and not one.reversal:
            of.setdefault(one.authorization, []).append(one)
    for key, told in of.items():
        left, billed = held[key].left_minor, held[key].left_billed_minor
        sums = sum(one.transaction_minor for one in told), sum(one.billing_minor for one in told)
        match told[0].story:
            case "below":
                assert sums[0] < left
                assert sums[1] < billed
            case "above":
                assert sums[0] > left
                assert sums[1] > billed
            case "after_reversal":
                assert (left, billed) == (0, 0)
                assert sums[0] > 0
            case _:
                assert sums == (left, billed)
        if told[0].story == "parts":
            assert [one.number for one in told] == [*range(1, told[0].count + 1)]


def test_only_what_was_seen_approved_is_cleared() -> None:
    events, report = a_run()
    some = [event for event in events if event.mti == "0100" and event.again is None]
    silent, declined = some[0], some[1]
    del report.answers[key_of(silent)]
    report.answers[key_of(declined)] = "51"
    told = clear("visa", events, report, PEOPLE, seed=1, day=TODAY)
    named = {one.authorization for one in told.presentments} | set(told.missing)
    assert not named & {key_of(silent), key_of(declined)}
    # Of whose reversal nobody knows, nothing is said.
    reversals = [e for e in events if e.about is not None and e.again is None]
    unclear = next(e for e in reversals if e.kind == "reversal")
    assert unclear.about is not None
    del report.answers[key_of(unclear)]
    assert key_of(unclear.about) not in {one.key for one in approved_of(events, report)}


def test_references_are_those_of_the_authorization() -> None:
    for network, spelt in (("visa", 15), ("mastercard", None), ("generic", 0)):
        for one in cleared(network):
            if one.kind == "refund" or not one.authorization:
                assert (one.life_cycle, one.rrn) == ("", "")
                continue
            assert one.rrn
            assert one.approval_code
            if spelt is None:
                assert one.life_cycle.startswith("MCC")
                assert one.life_cycle[-5] == " "
            else:
                assert len(one.life_cycle) == spelt


def test_arns_check_and_strays_are_of_whom_they_say() -> None:
    told = cleared()
    arns = [one.arn for one in told if one.kind != "fee" and not one.reversal]
    assert len(set(arns)) == len(arns)
    assert all(with_luhn(arn[:-1]) == arn and len(arn) == 23 for arn in arns)
    ours = {card.pan for card in PEOPLE.cards}
    assert {one.pan in ours for one in told if one.story == "stray"} == {True}
    assert {one.pan in ours for one in told if one.story == "nobodys"} == {False}
    assert "99990" not in repr(told[0])
