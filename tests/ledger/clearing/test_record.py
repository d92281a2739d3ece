"""What an item is: who pays, its reference number, and what makes it the same elsewhere."""

import msgspec
import pytest
from msgspec.structs import replace

from ledger.clearing.pan import Pan
from ledger.clearing.record import (
    FIRST,
    Kind,
    Seen,
    check_digit,
    content_hash,
    is_arn,
    sign_of,
)
from tests.support.clearing import PAN, arn_of, as_kind, item_of

# Who pays: + the cardholder. Columns are what it is of.
SIGNS = """
kind                 presentment  refund  cash  reversed
first                     +          -      +      no
first                     -          +      -      yes
chargeback                -          +      -      no
chargeback                +          -      +      yes
second_presentment        +          -      +      no
second_presentment        -          +      -      yes
"""


@pytest.mark.parametrize("row", SIGNS.strip().splitlines()[1:])
def test_who_pays(row: str) -> None:
    kind, *signs, reversed_ = row.split()
    for of, sign in zip(FIRST, signs):
        meant = of if kind == "first" else Kind(kind)
        assert sign_of(meant, of, reversed_ == "yes") == (1 if sign == "+" else -1)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (arn_of(1), True),
        (arn_of(1)[:-1] + str((int(arn_of(1)[-1]) + 1) % 10), False),
        (arn_of(1)[:-1], False),
        (arn_of(1) + "0", False),
        (" " + arn_of(1)[1:], False),
        ("٣" * 23, False),
        ("", False),
    ],
)
def test_an_arn_checks_itself(text: str, is_one: bool) -> None:
    assert is_arn(text) is is_one


def test_the_check_digit_is_luhns() -> None:
    assert check_digit("7992739871") == "3"


def test_the_content_of_an_item_is_the_same_wherever_it_stands() -> None:
    item = item_of(1)
    assert content_hash(item, "k1") == content_hash(replace(item, record=99), "k1")
    others = [
        content_hash(item, "k2"),
        content_hash(replace(item, transaction_minor=1), "k1"),
        content_hash(replace(item, **as_kind(Kind.REFUND)), "k1"),
    ]
    assert len({content_hash(item, "k1"), *others}) == 4


def test_the_content_of_an_item_tells_nothing_of_its_card_number() -> None:
    """A plain hash of one is undone by trying a million."""
    item = item_of(1)
    other = replace(item, pan=Pan(PAN[:-1] + "1"))
    assert content_hash(item, "k1") == content_hash(other, "k1")


def test_two_cards_are_two_items() -> None:
    seen = Seen(b"secret")
    item = item_of(1, arn="")
    assert not seen.again(item)
    assert not seen.again(replace(item, pan=Pan(PAN[:-1] + "1")))
    assert seen.again(replace(item, record=7))


def test_an_item_shows_no_card_number_and_cannot_be_stored_with_one() -> None:
    assert PAN[6:12] not in repr(item_of(1))
    with pytest.raises(TypeError):
        msgspec.json.encode(item_of(1))


@pytest.mark.parametrize(
    "wrong", [{"sign": -1}, {"sign": 0}, {"of": Kind.CASH}, {"transaction_minor": -1}]
)
def test_an_item_that_cannot_be_is_our_fault(wrong: dict[str, int]) -> None:
    with pytest.raises(AssertionError):
        item_of(1, **wrong)
