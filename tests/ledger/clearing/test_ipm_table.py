"""Our table of elements says what cardutil's says."""

from cardutil.config import config

from ledger.clearing.ipm_table import BINARY, ELEMENTS, PDS_HOLDERS

PREFIXES = {"FIXED": 0, "LLVAR": 2, "LLLVAR": 3}


def test_the_elements_are_cardutils() -> None:
    theirs = {int(key): value for key, value in config["bit_config"].items() if key != "1"}
    assert {element.number for element in ELEMENTS} == set(theirs)
    for element in ELEMENTS:
        their = theirs[element.number]
        assert element.prefix == PREFIXES[their["field_type"]], element
        # Theirs has 0, or no word, where a variable one has no maximum of its own.
        assert element.size == (their["field_length"] or element.size), element


def test_the_same_elements_hold_subelements_and_bytes() -> None:
    theirs = config["bit_config"]
    held = {int(key) for key in theirs if theirs[key].get("field_processor") == "PDS"}
    assert held == set(PDS_HOLDERS)
    assert {int(k) for k in theirs if theirs[k].get("field_processor") == "ICC"} == BINARY
