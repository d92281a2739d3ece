"""Pages that are made from tables say what the tables say."""

from pathlib import Path

import pytest

from authz.app.pages import PAGES, main
from authz.simulator.stories import STORIES

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("path", PAGES)
def test_it_is_current(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path](), "make docs writes it"


def test_every_story_has_a_row() -> None:
    page = PAGES["docs/stories.md"]()
    assert all(f"| **{story.name}**: " in page for story in STORIES)


def test_diagrams_are_what_mermaid_reads() -> None:
    page = PAGES["docs/states.md"]()
    for arrow in (
        "    [*] --> held: 0100 / advice / increment",
        "    held --> reversed: full reversal",
        "    connected --> signed_on: sign-on / our sign-on is accepted",
        "    signed_on --> signed_off: sign-off",
    ):
        assert arrow in page.splitlines()
    assert page.count("```mermaid\nstateDiagram-v2\n") == 2


def test_they_are_written_where_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    main()
    assert all((tmp_path / path).exists() for path in PAGES)
