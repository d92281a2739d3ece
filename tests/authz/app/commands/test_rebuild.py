"""The rebuild as a command: what a person sees who has lost the store's folder."""

import json
import shutil
from pathlib import Path

import pytest

from authz.app.embedded.process import write_privately
from authz.app.embedded.valkey import EmbeddedValkey
from authz.app.store import ADDRESS
from authz.hot import library
from tests.authz.app.commands.test_settle import ACCOUNTS, folder, run

__all__ = ["folder"]

CARDS = """\
pan,account_id,expiry,status
9999991000000001,acme-1,2812,active
9999991000000019,acme-1,2812,frozen
"""


@pytest.fixture
def settled(folder: Path) -> Path:
    """Two cards, and their journal in the books."""
    (folder / "accounts.csv").write_text(ACCOUNTS)
    (folder / "cards.csv").write_text(CARDS)
    for name in ("accounts.csv", "cards.csv"):
        done = run(folder, "load", str(folder / name))
        assert done.returncode == 0, done.stderr
    assert run(folder, "settle", "--once", "--metrics-port", "0").returncode == 0
    return folder


def lose(folder: Path) -> None:
    """The store's data; the key beside it is kept elsewhere, and put back."""
    shutil.rmtree(folder / "data" / "appendonlydir")


def test_lost_and_rebuilt(settled: Path) -> None:
    before = run(settled, "rebuild")
    assert before.returncode == 1
    assert "The store is not empty" in before.stderr

    lose(settled)
    # A server that stays: whoever needs one finds it by its address.
    with EmbeddedValkey.start(settled / "data", acl=(library.ENGINE_ACL,)) as server:
        write_privately(settled / "data" / ADDRESS, server.url + "\n")
        rebuilt_and_used(settled)


def rebuilt_and_used(settled: Path) -> None:
    for words in (
        ("settle", "--once", "--metrics-port", "0"),
        ("load", str(settled / "cards.csv")),
    ):
        told = run(settled, *words)
        assert told.returncode == 1, words
        assert "authz rebuild gives it back what the books have" in told.stderr, words
    done = run(settled, "rebuild", "--json", "-")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["accounts"], report["cards"], report["times"]) == (1, 2, 1)
    assert (report["blocked"], len(report["blocked_ids"])) == (1, 1)
    assert "1 account, 2 cards, 0 authorizations (0 open)" in done.stderr
    assert "what networks were told of 1 card" in done.stderr
    assert "9999991" not in done.stdout + done.stderr

    # All of it is there: a load finds nothing new, and the writer goes on in the same books.
    again = run(settled, "load", str(settled / "cards.csv"))
    assert again.returncode == 0, again.stderr
    assert "cards     0 new, 0 changed, 2 as they were" in again.stdout
    assert run(settled, "settle", "--once", "--metrics-port", "0").returncode == 0
    assert run(settled, "ledger", "verify").returncode == 0


def test_the_books_of_another_store(settled: Path) -> None:
    lose(settled)
    assert run(settled, "load", str(settled / "accounts.csv"), "--new-store").returncode == 0
    done = run(settled, "settle", "--once", "--metrics-port", "0")
    assert done.returncode == 1
    assert "These books are another store's: nothing was written." in done.stderr


def test_without_books(folder: Path) -> None:
    done = run(folder, "rebuild")
    assert done.returncode == 1
    assert "There are no books" in done.stderr
    assert not (folder / "data").exists()
