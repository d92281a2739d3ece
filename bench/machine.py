"""Where and when a figure was made: a number without its machine is no number."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from msgspec import Struct

from authz.app.output import write_json
from authz.hot.admin import administrator

CHECKOUT = Path(__file__).resolve().parent.parent
TICKS_PER_S = os.sysconf("SC_CLK_TCK")  # the unit of /proc/<pid>/stat; 10 ms on every Linux


class Machine(Struct, frozen=True, kw_only=True):
    """What stands beside every table and in every JSON file."""

    cores: int  # that we may run on
    cpu: str
    python: str
    valkey: str  # "" where no server took part
    commit: str  # "+" at its end: the checkout had changes; "" outside a checkout
    date: str  # UTC
    seed: int | None
    durability: str  # Valkey's appendfsync, "" where no server took part
    autogroup: bool = (
        False  # the kernel shares cores among sessions first (sched_autogroup_enabled)
    )

    def line(self) -> str:
        server = f", Valkey {self.valkey} (appendfsync {self.durability})" if self.valkey else ""
        sessions = " shared among sessions first" if self.autogroup else ""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return (
            f"{self.cores} cores{sessions}, {self.cpu}, Python {self.python}{server}, "
            f"commit {self.commit or 'unknown'}, {self.date}{seed}"
        )


def this_machine(*, seed: int | None = None, valkey: str = "", durability: str = "") -> Machine:
    return Machine(
        cores=cores(),
        cpu=cpu_model(),
        python=platform.python_version(),
        valkey=valkey,
        commit=commit(),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        seed=seed,
        durability=durability,
        autogroup=autogroup(),
    )


def cores() -> int:
    """Those that this process may use: a container often has fewer than its machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def autogroup() -> bool:
    with suppress(OSError):
        return Path("/proc/sys/kernel/sched_autogroup_enabled").read_bytes().strip() == b"1"
    return False


def cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def commit() -> str:
    def git(*words: str) -> str:
        ran = subprocess.run(
            ["git", "-C", str(CHECKOUT), *words], capture_output=True, text=True, check=True
        )
        return ran.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def cpu_seconds(pid: int) -> float | None:
    """Processor time that a process has used, all its threads; None where nobody tells."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The name in the second column may hold blanks; what follows its bracket is columns 3 on.
    columns = stat.rpartition(")")[2].split()
    return (int(columns[11]) + int(columns[12])) / TICKS_PER_S


def family_seconds(pid: int) -> float:
    """Processor time of a server and of all its processes, those that have ended among them.
    Nothing where nobody tells."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            columns = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(columns[1]) == pid:
            total += int(columns[11]) + int(columns[12])
        elif stat.parent.name == str(pid):
            total += sum(map(int, columns[11:15]))
    return total / TICKS_PER_S


def steal_seconds() -> float:
    """Processor time that the machine below took from this one, all cores; 0 where nobody tells."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return 0.0
    return int(first[8]) / TICKS_PER_S


def fdatasync_ms(folder: Path, count: int = 300) -> dict[str, float]:
    """How long this disk takes to make 200 bytes more durable, as an append-only file does.

    An answer under `appendfsync always` waits for it: no latency is better than the disk's.
    """
    took = []
    path = folder / "fdatasync.probe"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        for _ in range(count):
            os.write(file, b"." * 200)
            started = monotonic()
            getattr(os, "fdatasync", os.fsync)(file)
            took.append((monotonic() - started) * 1e3)
    finally:
        os.close(file)
        path.unlink()
    took.sort()
    return {"p50": round(took[count // 2], 3), "p99": round(took[count * 99 // 100], 3)}


def rss_mb(pid: int) -> float:
    """What a process has in memory now; 0 where nobody tells."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def family_mb(pid: int) -> float:
    """What a server and its processes have in memory, shared pages once; 0 where nobody tells."""
    kilobytes = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):  # it has ended meanwhile
            told = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2]
            if str(pid) in (stat.parent.name, told.split()[1]):
                shares = (stat.parent / "smaps_rollup").read_text(encoding="ascii")
                kilobytes += int(shares.partition("\nPss:")[2].split()[0])
    return round(kilobytes * 1024 / 1e6, 1) if kilobytes else rss_mb(pid)


def busy_seconds() -> float | None:
    """Processor time of everybody on this machine, all cores; None where nobody tells."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _, _, irq, soft_irq, steal = (int(column) for column in first[1:9])
    return (user + nice + system + irq + soft_irq + steal) / TICKS_PER_S


async def valkey_version(url: str) -> str:
    client = administrator(url)
    info = await client.info("server")
    await client.aclose()
    return str(info.get("valkey_version") or info.get("redis_version") or "unknown")


def publish(answer: dict[str, Any], lines: Iterable[str], json_path: str | None) -> None:
    """The table and the machine for a person, the answer for a program.

    A program that reads standard output gets nothing else there.
    """
    stream = sys.stderr if json_path == "-" else sys.stdout
    for line in (*lines, answer["machine"].line()):
        print(line, file=stream)
    if json_path is not None:
        write_json(json_path, answer)
