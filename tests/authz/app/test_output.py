"""How commands say what went wrong."""

import pytest

from authz.app.output import sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no such card", "No such card."),
        ("`authz load` makes one.", "`authz load` makes one."),
        ("the engine hung up: why?", "The engine hung up: why?"),
    ],
)
def test_a_sentence_ends_once(text: str, said: str) -> None:
    assert sentence(Exception(text)) == said
