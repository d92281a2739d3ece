"""A network's totals as a file: read whole, or refused whole; and never quoted."""

import pytest

from ledger.settlement_advice import AdviceRefused, read_advice

GOOD = """\
network,currency,cycle_date,settles_on,items,net_minor,interchange_minor
visa,840,2026-11-20,2026-11-23,3,-1500,12
visa,978,2026-11-20,,1,200,
trailer,,,,2,-1300,
"""


def test_what_it_says_and_what_it_does_not() -> None:
    advice = read_advice(GOOD.encode())
    first, second = advice.totals
    assert first.told == {"items": 3, "net_minor": -1500, "interchange_minor": 12}
    assert second.told == {"items": 1, "net_minor": 200}
    assert (first.row, second.settles_on, second.program, second.batch) == (2, None, "", "")
    assert read_advice(GOOD.encode()).file_id == advice.file_id


BAD = [
    # What is changed, into what; what is said.
    ("trailer,,,,2,-1300,\n", "", "the trailer is missing"),
    ("trailer,,,,2,", "trailer,,,,3,", "line 4: counts another number of rows"),
    ("-1300", "-1301", "line 4: adds up to another net"),
    ("-1500", "-1501", "line 4: adds up to another net"),
    ("-1500", "-15.00", "line 2, net_minor: expected a whole number"),
    ("-1500", "", "line 2, net_minor: expected a whole number"),
    (",3,", ",9007199254740992,", "line 2, items: too large"),
    ("2026-11-23", "23.11.2026", "line 2, settles_on: expected YYYY-MM-DD"),
    ("978", "EUR", "line 3, currency: expected three digits"),
    ("978,2026-11-20,,", "978,2026-11-20,", "line 3: not as many cells"),
    ("settles_on", "settled_on", "line 1: a column that is none of"),
    ("net_minor,", "net,", "line 1: no column net_minor"),
    ("interchange_minor", "net_minor", "line 1: a column"),
    ("visa,978", '"visa,978', "not a CSV"),
    ("visa,978", "v" * 300 + ",978", "line 3, network: too long"),
]


@pytest.mark.parametrize(("was", "becomes", "said"), BAD, ids=[row[2] for row in BAD])
def test_a_damaged_file_is_refused_whole(was: str, becomes: str, said: str) -> None:
    with pytest.raises(AdviceRefused, match=said):
        read_advice(GOOD.replace(was, becomes, 1).encode())


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"\n", b"network\n", b"x" * (5 * 1024 * 1024)])
def test_what_is_no_advice_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(AdviceRefused):
        read_advice(data)


@pytest.mark.parametrize("at", range(0, len(GOOD), 7))
def test_a_file_that_was_cut_is_refused(at: int) -> None:
    with pytest.raises(AdviceRefused):
        read_advice(GOOD[:at].encode())
