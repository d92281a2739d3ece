"""Places that generated code can compute, and checks that grow together."""

from iso8583.plan_source import Checks, Place
from iso8583.spec import ANS, N, Z


def test_a_place_reads_as_the_code_that_computes_it():
    assert str(Place(20)) == "20"
    assert str(Place(20) + 2) == "22"
    assert str(Place(0, "p2")) == "p2"
    assert str(Place(0, "p2") + 6) == "p2 + 6"


def test_neighbours_of_one_kind_are_one_check():
    checks = Checks()
    checks.stretch(N, "raw", Place(20), Place(26))
    checks.stretch(N, "raw", Place(26), Place(0, "p2"))
    checks.stretch(N, "raw", Place(0, "p2"), Place(4, "p2"))
    assert str(checks) == "raw[20:p2 + 4].isdigit()"


def test_strangers_of_one_kind_are_strained_together():
    checks = Checks()
    checks.add("len(mti) == 4")
    checks.stretch(ANS, "raw", Place(0), Place(2))
    checks.stretch(Z, "raw", Place(2), Place(4))
    checks.stretch(ANS, "raw", Place(4), Place(6))
    assert str(checks) == (
        "len(mti) == 4"
        " and not (raw[0:2] + raw[4:6]).translate(None, PRINTABLE)"
        " and not (raw[2:4]).translate(None, TRACK_2)"
    )


def test_nothing_to_check_is_true():
    assert str(Checks()) == "True"
