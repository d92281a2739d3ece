"""Pages that people read: nothing left open, and every file and test that they name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "bench" / "README.md"]
NAMED = re.compile(
    r"`((?:authz|rules|iso8583|ledger|bench|tests|docs)/[\w./-]+\.(?:py|lua|md|txt))"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_finished_and_names_what_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"@[A-Z]{2,}@|\bTODO\b|\bFIXME\b", text)
    missing = [name for name in NAMED.findall(text) if not (ROOT / name).exists()]
    assert not missing


def test_sources_name_tests_that_are_there() -> None:
    missing = []
    for source in [*ROOT.glob("*/*.py"), *ROOT.glob("authz/**/*.py")]:
        if source.is_relative_to(ROOT / "tests") or ".venv" in source.parts[len(ROOT.parts)]:
            continue
        for name in re.findall(r"tests/[\w/]+\.py", source.read_text(encoding="utf-8")):
            if not (ROOT / name).exists():
                missing.append((source.name, name))
    assert not missing
