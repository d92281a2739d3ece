"""What an answer carries, by its request and our reason."""

import pytest

from authz.wire.networks import NETWORKS
from authz.wire.to_response import Reply, to_response
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.message import Message
from iso8583.mti import response_to
from rules.facts import Approved, Funds
from rules.reason import Reason
from tests.support.networks import Fields, heard, mastercard, visa


def request(mti: str) -> Message:
    return Message.of(mti, {11: "000001", 38: "ABC123"})


@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.APPROVED])
def test_only_an_approval_has_an_approval_code(reason: Reason) -> None:
    """A terminal that finds one in a decline may print it."""
    assert 38 not in to_response(request("0100"), Reply(reason))
    assert 38 not in to_response(request("0400"), Reply(reason))


def test_an_approval_has_our_code_and_its_reversal_the_one_that_it_named() -> None:
    assert to_response(request("0100"), Reply(Reason.APPROVED, "F00D42"))[38] == "F00D42"
    assert to_response(request("0400"), Reply(Reason.APPROVED))[38] == "ABC123"


APPROVED = Reply(Reason.APPROVED, "F00D42")


def answered(network: str, mti: str, fields: Fields, reply: Reply = APPROVED) -> Message:
    """As the peer reads it."""
    message = heard(network, mti, fields)
    given = to_response(message, reply, NETWORKS[network])
    return decode(encode(response_to(mti), given, BY_NAME[network]), BY_NAME[network])


@pytest.mark.parametrize("mti", ["0100", "0400", "0120"])
def test_visa_is_told_its_transaction_identifier_and_not_what_it_asked_beside_it(mti: str) -> None:
    told = answered("visa", mti, visa(de63={1: "0002", 3: "2502"}))
    assert told.parts(62).to_dict() == {2: "306073123456789"}  # type: ignore[union-attr]
    assert told.parts(63).to_dict() == {1: "0002"}  # type: ignore[union-attr]


def test_visa_hears_that_the_issuer_answered_and_no_result_of_a_check_that_was_not_made() -> None:
    for reply in (APPROVED, Reply(Reason.FUNDS_INSUFFICIENT)):
        assert answered("visa", "0100", visa(), reply).parts(44).to_dict() == {1: "5"}  # type: ignore[union-attr]
    assert 44 not in answered("visa", "0400", visa())


@pytest.mark.parametrize("mti", ["0100", "0400", "0120"])
def test_mastercard_is_told_its_reference(mti: str) -> None:
    asked = mastercard(de48={"tcc": "R", "61": {1: "1"}, "63": "MCCABC1230322  ", "92": "123"})
    told = answered("mastercard", mti, asked)
    assert (told[15], told[63]) == ("0322", "MCCABC123   ")
    assert told.parts(48).to_dict() == {  # type: ignore[union-attr]
        "tcc": "R", "63": {1: "MCCABC123", 2: "0322  "},
    }  # fmt: skip


def test_mastercard_hears_in_de_44_which_element_was_bad() -> None:
    told = answered("mastercard", "0100", mastercard(), Reply(Reason.FORMAT_ERROR, bad_field=4))
    assert (told[39], told[44]) == ("30", "004")


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        ("visa", {"de62": b"\x40", "de63": b"\x80"}),
        ("visa", {"de62": b"\x00\x00\x20" + bytes(5)}),
        ("mastercard", {"de48": b"\xd9\xf6\xf3\xf9\xf9"}),
        ("mastercard", {"de48": b""}),
    ],
)
def test_what_is_broken_is_not_sent_back(network: str, changes: dict[str, bytes]) -> None:
    own = {"visa": visa, "mastercard": mastercard}[network]
    told = answered(network, "0100", own(**changes), Reply(Reason.FORMAT_ERROR))
    assert not {48, 62} & set(told)


PARTLY = Reply(Reason.APPROVED, "F00D42", approved=Approved(2000, 2000))
INQUIRED = Reply(Reason.APPROVED, "F00D42", funds=Funds("840", -1250, 10**13))


@pytest.mark.parametrize("name", list(BY_NAME))
def test_partial_approvals_and_balances_can_be_said_in_every_dialect(name: str) -> None:
    dialect = BY_NAME[name]
    network = NETWORKS.get(name) or NETWORKS["iso93" if dialect.version == "1" else "generic"]
    fields = {4: f"{5000:012}", 11: "000001", 49: "840"}
    mti = f"{dialect.version}100"
    for reply, code, amounts in (
        (PARTLY, network.codes.partial, "0057840C000000005000"),
        (INQUIRED, network.codes.of[Reason.APPROVED],
         "0001840D0000000012500002840C999999999999"),
    ):  # fmt: skip
        given = to_response(Message.of(mti, dict(fields)), reply, network)
        told = decode(encode(response_to(mti), given, dialect), dialect)
        assert (told[39], told[54]) == (code, amounts)
    assert to_response(Message.of(mti, dict(fields)), PARTLY, network)[4] == f"{2000:012}"


@pytest.mark.parametrize(
    ("kind", "visa_says"), [("00", "85"), ("01", "85"), ("30", "00"), ("31", "00")]
)
@pytest.mark.parametrize("name", ["visa", "mastercard", "generic"])
def test_an_inquiry_with_an_amount_of_zero_is_no_account_check(
    name: str, kind: str, visa_says: str
) -> None:
    fields = {3: f"{kind}0000", 4: f"{0:012}", 11: "000001", 49: "840"}
    given = to_response(Message.of("0100", dict(fields)), INQUIRED, NETWORKS[name])
    assert given[39] == ("00" if name == "generic" else visa_says)
