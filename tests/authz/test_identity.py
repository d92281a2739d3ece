import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz import identity
from authz.privacy import PanKeys
from authz.wire.to_request import to_request, to_reversal
from iso8583.message import Message
from tests.support.engine import NOON, purchase, reversal

KEYS = PanKeys(b"k" * 32)
BASE = {
    "network": "n", "mti": "0100", "stan": "000001", "sent_at": 1, "acquirer_id": "1",
    "subject": "c",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"mti": "0101"}, True),
        ({"mti": "1100"}, True),
        ({"mti": "0120"}, False),
        ({"mti": "0400"}, False),
        ({"stan": "000002"}, False),
        ({"sent_at": 2}, False),
        ({"acquirer_id": "2"}, False),
        ({"network": "m"}, False),
        ({"subject": "d"}, False),
    ],
    ids=str,
)
def test_what_makes_a_message_itself(changes: dict[str, object], same: bool) -> None:
    one, other = identity.message_id(**BASE), identity.message_id(**(BASE | changes))  # type: ignore[arg-type]
    assert (one == other) == same
    assert len(one) == 20


@given(st.lists(st.text(max_size=5), min_size=2, max_size=4))
def test_parts_do_not_run_together(parts: list[str]) -> None:
    moved = [parts[0] + "x", *parts[1:]]
    assert identity.fingerprint(*parts) != identity.fingerprint(*moved)


def references(fields: dict[int, str], mti: str = "0100") -> set[str]:
    if mti == "0100":
        request = to_request(Message.of(mti, dict(fields)), "n", KEYS, NOON)
        return set(identity.references_of_request(request, "CODE12", "c"))
    facts = to_reversal(Message.of(mti, dict(fields)), "n", KEYS, NOON)
    return {reference for _, reference in identity.references_of_reversal(facts, "c")}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"de90": ""},
        {"de90": "", "de41": "", "de42": ""},
        {"de90": "", "de37": "", "de38": "CODE12"},
    ],
    ids=str,
)
def test_a_reversal_names_its_own_authorization_and_no_other(changes: dict[str, str]) -> None:
    back = references(reversal(purchase(1), **changes), "0400")
    part = identity.reference_of_part("CODE12", "c")
    assert back - {part}
    assert back <= references(purchase(1)) | {part}
    assert back & references(purchase(1))
    if "de38" not in changes:
        assert not back & references(purchase(2))


def test_an_approval_code_is_six_letters_or_digits() -> None:
    code = identity.approval_code(identity.message_id(**BASE))  # type: ignore[arg-type]
    assert len(code) == 6
    assert code.isalnum()
    assert code == code.upper()


@pytest.mark.parametrize(
    ("changes", "rungs"),
    [
        ({}, ["de90"]),
        ({"de38": "CODE12"}, ["de90", "de38", "de38"]),
        ({"de90": ""}, ["de37"]),
        ({"de90": "", "de41": ""}, ["de37"]),
        ({"de90": "", "de41": "", "de42": ""}, ["rrn"]),
        ({"de90": "", "de38": "CODE12"}, ["de37", "de38", "de38"]),
        ({"de90": "", "de37": "", "de38": "CODE12"}, ["de38", "de38"]),
    ],
    ids=str,
)
def test_weaker_words_are_not_tried_beside_the_strong(
    changes: dict[str, str], rungs: list[str]
) -> None:
    """DE 37 alone may be another terminal's, where the terminal was named."""
    message = Message.of("0400", dict(reversal(purchase(1), **changes)))
    facts = to_reversal(message, "n", KEYS, NOON)
    assert [rung for rung, _ in identity.references_of_reversal(facts, "c")] == rungs
