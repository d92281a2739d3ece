import copy
import hmac
import pickle
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.privacy import Pan, PanKeys

CANARY = "4929123412341234"
KEYS = PanKeys(b"k" * 32)


def test_a_pan_refuses_to_print_itself() -> None:
    pan = Pan(CANARY)
    for text in (repr(pan), str(pan), f"{pan}", f"{pan:>30}", "%s" % pan, f"{[pan]}"):  # noqa: UP031
        assert CANARY not in text
        assert "492912******1234" in text


def test_a_pan_refuses_to_be_stored() -> None:
    for store in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            store(Pan(CANARY))


@pytest.mark.parametrize(
    "digits",
    ["", "1" * 11, "1" * 20, "49291234123412x4", "４９２９１２３４１２３４１２３４", " " * 16],
)
def test_what_is_no_pan_is_refused_without_being_quoted(digits: str) -> None:
    with pytest.raises(ValueError) as caught:
        Pan(digits)
    assert str(caught.value) == "not a card number"


@given(st.text("0123456789", min_size=12, max_size=19))
def test_keys_and_ids_tell_nothing_of_the_pan(digits: str) -> None:
    key, id = KEYS.card_key(Pan(digits)), KEYS.card_id(Pan(digits))
    assert (len(key), len(id)) == (23, 20)
    assert digits not in key + id
    assert KEYS.card_key(Pan(digits)) == key
    assert PanKeys(b"j" * 32).card_key(Pan(digits)) != key


def test_a_weak_key_is_refused_and_never_shown() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        PanKeys(b"short")
    assert "kkk" not in repr(KEYS)


@pytest.mark.parametrize("size", [32, 63, 64, 65, 200])
def test_a_card_key_is_an_hmac_of_sha_256(size: int) -> None:
    """RFC 2104, as the library says it: a key of up to a block is padded, a longer one hashed."""
    secret = bytes(range(size))
    digest = hmac.digest(secret, b"card-key:9999010000000001", "sha256")
    told = PanKeys(secret, "7").card_key(Pan("9999010000000001"))
    assert told == "7" + urlsafe_b64encode(digest[:16]).decode().rstrip("=")
