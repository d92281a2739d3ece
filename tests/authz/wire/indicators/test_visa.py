"""What Visa says in elements of its own."""

import pytest

from authz.wire.elements import BadElement
from authz.wire.indicators import NOTHING, READERS
from rules.facts import Finality
from tests.support.networks import heard, visa

of_visa = READERS["visa"]


def said(mti: str = "0100", **more):
    return of_visa(heard("visa", mti, visa(**more)))


def test_the_life_cycle_id_is_the_transaction_identifier():
    assert said().life_cycle == "306073123456789"
    assert said("0400").life_cycle == "306073123456789"


@pytest.mark.parametrize("payment", [{2: "0" * 15}, {1: "Y"}, None])
def test_without_one_there_is_none(payment):
    assert said(de62=payment).life_cycle == ""


@pytest.mark.parametrize(
    ("flag", "finality", "partial"),
    [("0", "plain", False), ("1", "plain", True), ("2", "pre", False), ("3", "pre", True)],
)
def test_the_tenth_position_of_60(flag, finality, partial):
    told = said(de60=bytes.fromhex("41000000000" + flag))
    assert (told.finality, told.partial_ok) == (finality, partial)


def test_a_60_that_ends_early_says_nothing():
    told = said(de60=bytes.fromhex("4100"))
    assert (told.finality, told.partial_ok) == (Finality.PLAIN, False)


def test_3900_in_a_request_is_an_increment():
    told = said(de63={1: "0002", 3: "3900"})
    assert told.increments
    assert told.finality is Finality.PRE
    assert not said("0120", de63={1: "0002", 3: "3900"}).increments
    assert not said(de63={1: "0002", 3: "2502"}).increments


@pytest.mark.parametrize(("environment", "by_merchant"), [("R", 1), ("I", 1), ("C", 1), (" ", 0)])
def test_who_began_the_payment(environment, by_merchant):
    assert said(de126={13: environment}).merchant_initiated == by_merchant


def test_a_stored_card_is_the_merchants_doing():
    assert said(de22="1000").merchant_initiated
    assert not said(de22="0110").merchant_initiated


@pytest.mark.parametrize(("number", "count", "more"), [("01", "03", 1), ("03", "03", 0)])
def test_one_of_several_completions(number, count, more):
    payment = {2: "306073123456789", 11: number, 12: count}
    assert said("0220", de62=payment).more_to_come == more
    assert said("0220", de71=f"{int(number):04}", de72=f"{int(count):04}").more_to_come == more


def test_a_message_without_any_of_them_says_nothing():
    assert said(de62=None, de63=None) is NOTHING


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (60, "4100000000A0"), (60, "4F"), (62, "40"), (62, "4000000000000000" + "0306"),
        (62, "4000000000000000" + "0" * 14 + "A0"), (62, "0020000000000000"),
        (63, "20000025"), (63, "2000"), (126, "0008000000000000"), (126, "00"),
    ],
)  # fmt: skip
def test_what_is_broken_is_named(number, value):
    with pytest.raises(BadElement) as caught:
        said(**{f"de{number}": bytes.fromhex(value)})
    assert caught.value.field == number


def test_what_the_dialect_sees_as_one_piece_says_nothing():
    """A link may be told to speak Visa's codes in plain ASCII."""
    message = heard("iso87_ascii", "0100", visa(de22="051", de62="x", de63="y", de60="z"))
    assert of_visa(message).life_cycle == ""


@pytest.mark.parametrize(
    ("order", "channel", "authenticated"),
    [
        ("00", "unknown", False),
        ("01", "mail_phone", False),
        ("02", "recurring", False),
        ("05", "ecommerce", True),
        ("06", "ecommerce", False),
        ("07", "ecommerce", False),
    ],
)
def test_how_an_order_came(order, channel, authenticated):
    told = said(de60=bytes.fromhex(f"41000000{order}00"))
    assert (told.channel, told.authenticated) == (channel, authenticated)


@pytest.mark.parametrize(("score", "risk"), [("9105", 91), ("0500", 5), ("    ", 0), ("A101", 0)])
def test_the_networks_score(score, risk):
    assert said(de62={1: "Y", 2: "306073123456789", 21: score}).risk == risk
