"""Intended events become messages that a codec writes and a reader understands."""

import pytest

from authz.simulator import messages
from authz.simulator.merchants import make_merchants
from authz.simulator.messages import Moment, Party, authorization, once_more, reversal, stamp
from authz.simulator.places import CURRENCIES
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME

MERCHANTS = make_merchants(1)
AT_HOME = MERCHANTS.near["grocery_pos", "Denver"][0]
IN_TOKYO = MERCHANTS.near["travel", "Tokyo"][0]
PARTY = Party("9999010000000005", "3012", "USD")
MOMENT = Moment("181500", "0314", "6073")


def purchase(merchant=AT_HOME):
    return authorization("purchase", PARTY, merchant, 12.34, MOMENT, "000042")


# Visa's entry mode has a fourth digit, which the simulator does not send; nor does it speak 1993.
@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - {"visa", "iso93_ascii"}))
@pytest.mark.parametrize("merchant", [AT_HOME, IN_TOKYO], ids=["at home", "abroad"])
def test_every_kind_of_message_survives_the_wire(name, merchant):
    first = purchase(merchant)
    events = [
        first,
        once_more("repeat", first, as_repeat=True),
        reversal(first, "0400", "000043"),
        reversal(first, "0420", "000044", original=messages.ABSENT, remaining_minor=100),
    ]
    for event in events:
        elements = stamp(event, "0314171500")
        message = decode(encode(event.mti, elements, BY_NAME[name]), BY_NAME[name])
        assert message.mti == event.mti
        assert message.to_dict() == elements


def test_elements_come_in_ascending_order_so_that_the_codec_may_plan_ahead():
    first = purchase(IN_TOKYO)
    for event in (first, reversal(first, "0400", "1", remaining_minor=1)):
        assert list(event.elements) == sorted(event.elements)


def test_a_purchase_at_home_says_what_it_costs_and_nothing_of_conversion():
    elements = purchase().elements
    assert elements[4] == "000000001234"
    assert elements[49] == "840"
    assert not {6, 10, 51} & elements.keys()
    assert elements[37] == "607318000042"


def test_abroad_the_network_converts_into_the_currency_of_the_account():
    elements = purchase(IN_TOKYO).elements
    assert (elements[4], elements[49]) == ("000000001863", "392")  # yen have no cents
    assert (elements[6], elements[51]) == ("000000001234", "840")
    places, rate = int(elements[10][0]), int(elements[10][1:])
    assert rate / 10**places == pytest.approx(1 / CURRENCIES["JPY"].per_dollar, rel=1e-4)


def test_a_repeat_keeps_the_time_of_the_first():
    first = purchase()
    repeat = once_more("repeat", first, as_repeat=True)
    assert stamp(first, "0314171500")[7] == "0314171500"
    assert stamp(repeat, "0314171530") == first.elements
    assert repeat.mti == "0101"
    assert once_more("duplicate", first, as_repeat=False).mti == "0100"


def test_a_reversal_quotes_its_original_and_has_a_stan_of_its_own():
    first = purchase()
    stamp(first, "0314171500")
    elements = stamp(reversal(first, "0400", "000043"), "0314171600")
    assert (
        elements[90] == "0100" + "000042" + "0314171500" + f"{AT_HOME.acquirer_id:0>11}" + "0" * 11
    )
    assert (elements[7], elements[11], elements[37]) == ("0314171600", "000043", first.elements[37])


def test_a_reversal_that_comes_first_quotes_the_time_that_its_original_will_have():
    first = purchase()
    elements = stamp(reversal(first, "0400", "000043"), "0314171500")
    assert stamp(first, "0314171509")[7] == elements[90][10:20] == "0314171500"


def test_reversals_may_say_little_of_their_original():
    first = purchase()
    zeros = stamp(reversal(first, "0400", "1", original=messages.ZEROS), "0314171500")
    assert zeros[90] == "0100" + "0" * 38
    assert 90 not in reversal(first, "0400", "1", original=messages.ABSENT).elements


def test_a_partial_reversal_says_what_stays():
    elements = reversal(purchase(), "0400", "1", remaining_minor=500).elements
    assert elements[95] == "000000000500" + "0" * 30


def test_an_event_does_not_print_its_card_number():
    assert PARTY.pan not in repr(purchase())


def test_a_reversal_of_which_only_the_repeat_leaves_still_names_its_original():
    """Where no link takes the first of them, as under an overload."""
    first = purchase()
    lost = reversal(first, "0400", "000043")
    elements = stamp(once_more("reversal_repeat", lost, as_repeat=True), "0314171500")
    assert elements[90] == f"01000000420314171500{first.elements[32]:0>11}{0:011d}"
    dialect = BY_NAME["iso87_ascii"]
    assert decode(encode("0401", elements, dialect), dialect).to_dict() == elements
