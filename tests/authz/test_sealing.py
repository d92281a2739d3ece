"""A card number that waits: nobody reads it without the key, nor takes it for another card's."""

import pytest

from authz.privacy import Pan, PanKeys
from authz.sealing import Sealer, Unreadable

KEYS = PanKeys(b"a key for tests only, 32 bytes!!")
PANS = [Pan("999999000001"), Pan("9999990000000010"), Pan("9999990000000000019")]


@pytest.mark.parametrize("pan", PANS)
def test_what_was_sealed_opens_under_its_key_and_for_its_card(pan: Pan) -> None:
    sealed = Sealer(KEYS).seal(pan, "C1")

    assert Sealer(KEYS).open(sealed, "C1") == pan
    assert pan.reveal() not in sealed
    assert sealed != Sealer(KEYS).seal(pan, "C1"), "equal numbers are not seen to be equal"


def test_a_seal_does_not_tell_how_long_the_number_is() -> None:
    assert len({len(Sealer(KEYS).seal(pan, "C1")) for pan in PANS}) == 1


@pytest.mark.parametrize("other", ["key", "key id", "card", "cut", "altered", "empty", "text"])
def test_anything_else_is_unreadable(other: str) -> None:
    sealed = Sealer(KEYS).seal(PANS[1], "C1")
    sealer, card = Sealer(KEYS), "C1"
    match other:
        case "key":
            sealer = Sealer(PanKeys(b"another key for tests, 32 bytes!"))
        case "card":
            card = "C2"
        case "cut":
            sealed = sealed[:-4]
        case "altered":
            sealed = sealed[:20] + ("A" if sealed[20] != "A" else "B") + sealed[21:]
        case "empty":
            sealed = ""
        case "text":
            sealed = "no seal of ours"
        case "key id":
            # It names a key and is none: the same secret opens under any name.
            assert Sealer(PanKeys(b"a key for tests only, 32 bytes!!", "2")).open(sealed, card)
            return
    with pytest.raises(Unreadable) as caught:
        sealer.open(sealed, card)
    assert PANS[1].reveal() not in repr(caught.value)
