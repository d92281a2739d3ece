"""The axes are short lists; what they allow is spelled out here once."""

from iso8583.axes import (
    Characters,
    Coding,
    Pad,
    Size,
    counted,
    fixed,
    l1,
    ll,
    lll,
    rest,
)


def test_the_axes_have_these_values():
    assert [kind.name for kind in Characters] == ["N", "A", "AN", "ANS", "Z", "XN", "B"]
    assert [c.name for c in Coding] == ["DIALECT", "ASCII", "EBCDIC", "BCD", "HEX", "RAW"]
    assert [pad.name for pad in Pad] == ["LEFT_ZERO", "RIGHT_F"]


def test_no_text_may_hold_a_zero_byte():
    # What EBCDIC has no character for becomes one, and must be refused.
    assert all(0 not in kind.value for kind in Characters if kind is not Characters.B)


def test_sizes():
    assert fixed(3) == Size(0, 3)
    assert (l1(9), ll(19), lll(999)) == (Size(1, 9), Size(2, 19), Size(3, 999))
    assert counted(6, 9999) == Size(6, 9999)
    assert rest(40) == Size(0, 40, is_rest=True)
