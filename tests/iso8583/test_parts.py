"""Parts behave like a mapping in the order of the wire, and never print their contents."""

import pytest
from rich.pretty import pretty_repr

from iso8583.parts import Parts

PARTS = Parts((("C1", b"secret"), ("72", Parts((("86", "secret"),))), ("C1", b"2")))


def test_reading():
    assert PARTS["C1"] == PARTS.get("C1") == b"secret"
    assert PARTS.get("C2") is None
    assert PARTS.get("C2", 0) == 0
    assert PARTS.all("C1") == [b"secret", b"2"]
    assert "C1" in PARTS
    assert "C2" not in PARTS
    assert list(PARTS) == ["C1", "72", "C1"]
    assert len(PARTS) == len(list(PARTS.items())) == 3
    assert PARTS.to_dict() == {"C1": b"secret", "72": {"86": "secret"}}
    with pytest.raises(KeyError):
        PARTS["C2"]


def test_nothing_secret_is_printed():
    assert repr(PARTS) == str(PARTS) == "Parts(C1, 72, C1)"
    assert "secret" not in pretty_repr(PARTS)
