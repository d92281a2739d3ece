"""What answers what, and what a message type is called."""

import pytest

from iso8583.mti import describe_mti, is_mti, is_request, response_to, without_repeat

ROWS = [
    # mti    first   answer  in words
    ("0100", "0100", "0110", "authorization request"),
    ("0101", "0100", "0110", "authorization request repeat"),
    ("0120", "0120", "0130", "authorization advice"),
    ("0121", "0120", "0130", "authorization advice repeat"),
    ("0122", "0122", "0132", "authorization advice by the issuer"),
    ("0123", "0122", "0132", "authorization advice repeat by the issuer"),
    ("0200", "0200", "0210", "financial request"),
    ("0220", "0220", "0230", "financial advice"),
    ("0302", "0302", "0312", "file action request by the issuer"),
    ("0400", "0400", "0410", "reversal request"),
    ("0401", "0400", "0410", "reversal request repeat"),
    ("0420", "0420", "0430", "reversal advice"),
    ("0421", "0420", "0430", "reversal advice repeat"),
    ("0800", "0800", "0810", "network management request"),
    ("0801", "0800", "0810", "network management request repeat"),
    ("1144", "1144", "1154", "authorization notification by another party"),
    ("9988", "9988", "9998", "class 9 function 8 from origin 8"),
    ("0110", "0110", None, "authorization request response"),
    ("0130", "0130", None, "authorization advice response"),
    ("0430", "0430", None, "reversal advice response"),
]


@pytest.mark.parametrize(("mti", "first", "answer", "words"), ROWS)
def test_message_types(mti, first, answer, words):
    assert without_repeat(mti) == first
    assert is_request(mti) == (answer is not None)
    assert describe_mti(mti) == words
    if answer is None:
        with pytest.raises(AssertionError):
            response_to(mti)
    else:
        assert response_to(mti) == answer
        assert not is_request(answer)


def test_every_request_has_an_answer_and_no_answer_has_one():
    for number in range(10000):
        mti = f"{number:04}"
        assert is_mti(mti)
        if is_request(mti):
            answer = response_to(mti)
            assert is_mti(answer)
            assert not is_request(answer)
            assert answer == response_to(without_repeat(mti))


@pytest.mark.parametrize("odd", ["", "100", "01000", "O100", "٠١٠٠", "01 0", "-100"])
def test_what_is_no_mti_is_no_request(odd):
    assert not is_mti(odd)
    assert not is_request(odd)
    assert describe_mti(odd) == "not a message type"
