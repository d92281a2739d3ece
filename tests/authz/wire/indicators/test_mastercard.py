"""What Mastercard says in elements of its own."""

import pytest

from authz.wire.elements import BadElement
from authz.wire.indicators import NOTHING, READERS
from rules.facts import Finality
from tests.support.networks import heard, mastercard, trace

of_mastercard = READERS["mastercard"]
ESTIMATE = "0000004000300840"


def said(mti: str = "0100", **more):
    return of_mastercard(heard("mastercard", mti, mastercard(**more)))


def test_a_request_has_its_own_reference_with_its_date():
    assert said().life_cycle == "MCCABC123 0322"


@pytest.mark.parametrize("reference", ["ABC123", "ABC123456", "000000001"])
def test_what_follows_tells_the_same_in_48_63_or_repeats_it(reference):
    bought = mastercard(reference=reference)
    first = said(reference=reference).life_cycle
    again = said("0400", reference=reference).life_cycle
    long = len(reference) > 6
    told = f"{reference}0322  " if long else trace(bought)
    by_trace = said("0400", reference="XYZ999", de48={"tcc": "R", "63": told}).life_cycle
    assert first == again == by_trace != ""


def test_references_that_begin_alike_are_not_the_same():
    assert said(reference="000000001").life_cycle != said(reference="000000002").life_cycle


@pytest.mark.parametrize(
    "changes", [{"de63": None}, {"de15": None}, {"de63": "MCC"}, {"de63": "MCC000000   "}]
)
def test_without_one_there_is_none(changes):
    assert said(**changes).life_cycle == ""


def test_a_payment_of_a_series_is_not_its_first_one():
    """48.63 names the first, but this is a life of its own."""
    told = said(reference="XYZ999", de48={"tcc": "R", "63": trace(mastercard())})
    assert told.life_cycle == "MCCXYZ999 0322"
    assert not told.increments


def test_more_of_a_preauthorization_is_an_increment():
    more = {"tcc": "R", "63": trace(mastercard())}
    told = said(reference="XYZ999", de48=more, de61=ESTIMATE)
    assert told.increments
    assert told.life_cycle == "MCCABC123 0322"
    assert not said("0120", de48=more, de61=ESTIMATE).increments
    assert not said(de61=ESTIMATE).increments


@pytest.mark.parametrize(
    ("conditions", "pos", "finality", "partial"),
    [
        ("10000", None, "plain", True),
        ("00001", None, "final", False),
        ("0", None, "plain", False),
        ("00000", ESTIMATE, "pre", False),
        ("10001", ESTIMATE, "pre", True),
    ],
)
def test_conditions_and_status(conditions, pos, finality, partial):
    told = said(de48={"tcc": "R", "61": dict(enumerate(conditions, 1))}, de61=pos)
    assert (told.finality, told.partial_ok) == (Finality(finality), partial)


def test_a_standing_order_is_the_merchants_doing():
    assert said(de61="0004000000300840").merchant_initiated
    assert not said(de61="0005000000300840").merchant_initiated


@pytest.mark.parametrize("positions", ["0004", "0004004", "000400400030084010001"])
def test_61_may_end_early(positions):
    told = said(de61=positions)
    assert told.merchant_initiated
    assert (told.finality is Finality.PRE) == (len(positions) > 6)


@pytest.mark.parametrize(
    ("end", "pos", "acquirer", "country"),
    [
        ("USA", None, None, "US"),
        ("FIN", "0000000000300840", None, "FI"),
        ("deu", None, None, "DE"),
        ("MO ", "0000000000300840", None, "US"),
        ("MO ", None, "840", "US"),
        ("MO ", None, None, ""),
    ],
)
def test_the_merchants_country_is_three_letters_or_a_number(end, pos, acquirer, country):
    """Read as two letters, USA ends in Saudi Arabia, and Missouri would lie in Macao."""
    place = "GROCER".ljust(22) + " " + "SOMEWHERE".ljust(13) + " " + end
    assert said(de43=place, de61=pos, de19=acquirer).country == country
    alone = said(de43=place, de61=None, de48=None, de63=None, de15=None, de19=acquirer)
    assert alone.country == ("" if pos and end == "MO " else country)


def test_a_message_without_any_of_them_says_nothing():
    assert said(de43=None, de48=None, de61=None, de63=None) is NOTHING


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (48, b"R6105100"), (48, b"R61XX1"), (48, b"R6"), (48, b"R6302AB"), (48, b"R6101X"),
        (61, "00X4"), (61, "000000X000300840"),
    ],
)  # fmt: skip
def test_what_is_broken_is_named(number, value):
    if isinstance(value, bytes):
        value = value.decode().encode("cp037")
    with pytest.raises(BadElement) as caught:
        said(**{f"de{number}": value})
    assert caught.value.field == number


@pytest.mark.parametrize(
    ("presence", "channel"),
    [("0", "unknown"), ("2", "mail_phone"), ("4", "recurring"), ("5", "ecommerce")],
)
def test_how_an_order_came(presence, channel):
    assert said(de61=f"000{presence}000000300840").channel == channel


@pytest.mark.parametrize(
    ("level", "authenticated"), [("212", True), ("211", False), ("210", False), ("", False)]
)
def test_the_cardholder_was_authenticated(level, authenticated):
    security = {"42": {"01": level}} if level else {}
    assert said(de48={"tcc": "T", **security}).authenticated is authenticated


@pytest.mark.parametrize(("score", "risk"), [("998", 998), ("0500A", 50), ("A12", 0), ("1", 0)])
def test_the_networks_score(score, risk):
    assert said(de48={"tcc": "R", "75": score}).risk == risk
