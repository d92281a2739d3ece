"""Nothing in the checkout tells on whose machine it was written, or where packages came from."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Each as it would stand in a file; the patterns do not match themselves.
FORBIDDEN = {
    "a folder of some machine": r"(?<![\w.}])/(work|farm|root|home|Users)/\w",
    "a package index": r"(?i)\b(pypi|pythonhosted|artifactory|devpi)\.[a-z]|--[a-z-]*index-url",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
}


def files() -> list[Path]:
    """What git tracks, and what it would track: everything but the ignored."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in files()
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"{what} in {', '.join(found)}"


def test_the_patterns_find_what_they_are_for() -> None:
    """Put together here, so that this file does not hold them."""
    for what, example in (
        ("a folder of some machine", "see /" + "home/anna/notes"),
        ("a folder of some machine", "/" + "work/main"),
        ("a package index", "https://" + "PyPI" + ".example/simple"),
        ("a package index", "--extra-index" + "-url"),
        ("a private key", "-----BEGIN RSA " + "PRIVATE KEY-----"),
    ):
        assert re.search(FORBIDDEN[what], example), example
    relative = "bench/" + "work/x and ./" + "home/y"
    assert not re.search(FORBIDDEN["a folder of some machine"], relative)
