"""The example of docs/dialects.md runs, and says what is so."""

import re
from pathlib import Path

import pytest

from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.errors import EncodeError

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"


def test_the_example_runs() -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert example.count("assert") > 4
    exec(compile(example, str(PAGE), "exec"), {})


@pytest.mark.parametrize(
    ("dialect", "fields", "said"),
    [
        ("mastercard", {48: {92: "123"}}, "48.92: its key is a text here, not a number"),
        ("mastercard", {48: {"61": {"1": "1"}}}, "48.61.1: its key is a number here, not a text"),
        ("mastercard", {61: {"1": "1"}}, "61.1: its key is a number here, not a text"),
        ("visa", {62: {"2": "306073123456789"}}, "62.2: its key is a number here, not a text"),
        ("visa", {62: {40: "x"}}, "unknown_field in field 62.40"),
    ],
)
def test_a_key_of_the_other_type_is_told_so(dialect: str, fields: dict, said: str) -> None:
    with pytest.raises(EncodeError) as caught:
        encode("0100", fields, BY_NAME[dialect])
    assert str(caught.value).endswith(said)


def test_so_it_is_in_reading() -> None:
    mastercard = BY_NAME["mastercard"]
    message = decode(encode("0100", {48: {"92": "123"}}, mastercard), mastercard)
    with pytest.raises(KeyError, match="its key is a text here"):
        message[48, 92]
    with pytest.raises(KeyError, match="93"):
        message[48, "93"]
