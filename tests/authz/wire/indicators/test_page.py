"""The places that docs/networks.md names, written as it says."""

from pathlib import Path

import pytest

from authz.wire.elements import BadElement
from authz.wire.indicators import READERS, Indicators
from rules.facts import Finality
from tests.support.networks import PURCHASE, heard

PAGE = (Path(__file__).parents[4] / "docs" / "networks.md").read_text(encoding="utf-8")


def said(network: str, **more) -> Indicators:
    dialect = {"generic": "iso87_ascii"}.get(network, network)
    return READERS[network](heard(dialect, "0100", PURCHASE[network](**more)))


@pytest.mark.parametrize(
    ("network", "element", "written", "finality", "partial_ok"),
    [
        ("generic", "de60", "000000000100", Finality.PLAIN, True),
        ("postilion", "de60", "000000000100", Finality.PLAIN, True),
        ("visa", "de60", "000000000001", Finality.PLAIN, True),
        ("mastercard", "de61", "0000004000000840", Finality.PRE, False),
        ("mastercard", "de48", "R610510000", Finality.PLAIN, True),
        ("mastercard", "de48", "R610500001", Finality.FINAL, False),
    ],
)
def test_the_examples_say_what_the_page_says(
    network: str, element: str, written: str, finality: Finality, partial_ok: bool
) -> None:
    assert f"`{written}`" in PAGE
    value: str | bytes = written
    if network == "visa":
        value = bytes.fromhex(written)
    elif element == "de48":
        value = written.encode("cp037")
    told = said(network, **{element: value})
    assert (told.finality, told.partial_ok) == (finality, partial_ok)


@pytest.mark.parametrize(
    ("network", "element", "value"),
    [
        ("generic", "de60", "000000000"),
        *(("visa", "de60", bytes(size)) for size in range(6)),
        ("mastercard", "de61", "000000"),
        ("mastercard", "de48", "R610400".encode("cp037") + "00".encode("cp037")),
    ],
)
def test_what_ends_before_its_place_says_nothing_and_is_not_refused(
    network: str, element: str, value: str | bytes
) -> None:
    try:
        told = said(network, **{element: value})
    except BadElement as error:
        pytest.fail(str(error))
    assert (told.finality, told.partial_ok) == (Finality.PLAIN, False)
