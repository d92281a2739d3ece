"""The process that stands between us and an embedded server, and outlives us by a moment.

It starts the server as its only child and reads one pipe, whose other end is ours. A letter on the
pipe is an order; the pipe's end means that we are gone, however we went: exit, crash or SIGKILL.
Being stopped and being orphaned are the same path, so every stop is a test of the other.

Why not leave it to the kernel (PR_SET_PDEATHSIG)? macOS has no such thing; on Linux it fires when
the *thread* that started the child ends, and it sends one signal and cannot insist: a server that
hangs or is stopped (SIGSTOP) would outlive us. Here it is the second net, for a guardian that is
killed itself. It must be set between fork and exec, which is safe in this process only because it
has a single thread.

Run as a script, `python -I -S guardian.py …`: it knows the standard library and nothing of ours.
"""

import ctypes
import os
import select
import signal
import struct
import sys
from contextlib import suppress

STOP = b"s"  # the server's polite signal, and SIGKILL when GRACE_S is over
KILL = b"k"  # SIGKILL at once, to the server and what it forked
GRACE_S = 5.0  # an orderly end takes some 50 ms; a slow disk may need the rest
ORPHAN_CHECK_S = 1.0  # a fork of our parent may hold the pipe open after the parent's death
NICE = b"19"  # the lowest, for what gives way
TURN_NS = 100_000  # the shortest that Linux knows; usual are 1.4 ms on two cores, and up to a tick
ASIDE = "authz-gives-way"  # the control group of all that gives way, below our own
# How soon a new session is told so; Linux takes one such order in 100 ms from other than root.
HUSH_S = 0.15

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # asm/unistd_64.h, asm-generic/unistd.h


def main(argv: list[str]) -> int:
    """Start the server, say its pid, carry out orders, and exit as it exited.

    argv: our parent's pid, the polite signal, uid and gid to run as ("-" to stay what we are),
    the log file, a folder to remove at the end ("-" for none), whether it gives way to others
    ("1"; "-" else), then the command.
    """
    parent, polite = int(argv[0]), int(argv[1])
    uid, gid, log, scratch, gives_way = argv[2:7]

    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # its end makes `woken` readable

    server = start(argv[7:], uid, gid, log, polite, gives_way == "1")
    os.write(1, b"%d\n" % server)
    os.close(1)

    stopping, check_s = False, ORPHAN_CHECK_S
    while (status := ended(server)) is None:
        if gives_way == "1":
            check_s = ORPHAN_CHECK_S if hushed(server) else HUSH_S
        watched = [woken] if stopping else [woken, 0]
        ready, _, _ = select.select(watched, [], [], GRACE_S if stopping else check_s)
        if woken in ready:
            os.read(woken, 512)
        order = os.read(0, 1) if 0 in ready else None
        if order == KILL or (stopping and not ready):
            destroy(server)
        elif not stopping and (order is not None or os.getppid() != parent):
            stopping = True
            os.kill(server, polite)

    if gives_way == "1" and (aside := aside_of_us()):
        with suppress(OSError):  # others are in it
            os.rmdir(aside)
    if scratch != "-":
        import shutil  # here, since it would add its 10 ms to every start

        shutil.rmtree(scratch, ignore_errors=True)
    return status


def start(command: list[str], uid: str, gid: str, log: str, polite: int, gives_way: bool) -> int:
    """Fork, become the unprivileged user, exec. Returns the server's pid."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    server = os.fork()
    if server:
        return server
    try:
        become(uid, gid, log, gives_way)
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, polite, 0, 0, 0)  # a change of user would clear it
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"cannot start {command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def become(uid: str, gid: str, log: str, gives_way: bool) -> None:
    """Give up what the server must not have: our terminal, our pipes, our rights."""
    os.setsid()  # Ctrl-C is for us, and we end the server after our last write
    if gives_way:
        give_way()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and exec would pass that on
    os.umask(0o077)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir("/")
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))


def give_way() -> None:
    """Have a core only while nobody else wants it, and in short turns; what we start inherits it.

    SCHED_IDLE is not a low share but none: who wakes takes the core at once, and looks on a core
    where only such work runs as free. That counts within one group of processes, so we stand in one
    that is idle as a whole, where we may make it. The short turn is for where we may not and
    `hushed` is needed: there the kernel asks first whether the turn of what runs is over.
    Why so: docs/decisions/0030.
    """
    os.nice(int(NICE))
    if sys.platform == "linux":
        stand_aside()
        call = SCHED_SETATTR.get(os.uname().machine)
        # struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period
        usual = struct.pack("IIQiIQQQ", 48, os.SCHED_OTHER, 0, int(NICE), 0, TURN_NS, 0, 0)
        if call is not None:
            ctypes.CDLL(None).syscall(call, 0, usual, 0)  # where it is refused, turns are longer
        with suppress(OSError):  # a container may forbid it: `nice` remains
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def stand_aside() -> None:
    """Into a control group that has a core only while no other wants it (`cpu.idle`), if we may."""
    aside = aside_of_us()
    if aside is None:
        return
    try:
        with suppress(FileExistsError):
            os.mkdir(aside)
        for name, value in (("cpu.idle", "1"), ("cgroup.procs", "0")):  # 0: who writes it
            with open(f"{aside}/{name}", "w") as file:
                file.write(value)
    except OSError:
        with suppress(OSError):
            os.rmdir(aside)


def aside_of_us() -> str | None:
    """Where that group is, or would be; None where the kernel keeps none for the processor."""
    with suppress(OSError, ValueError, IndexError):  # a file that is not as man says is no reason
        group = cpu_group(text_of("/proc/self/cgroup"), text_of("/proc/self/mountinfo"))
        if group is not None:
            return group if group.endswith(f"/{ASIDE}") else f"{group}/{ASIDE}"
    return None


def text_of(path: str) -> str:
    """Names of folders may be any bytes: one that is no text is none of ours, and no error. A line
    ends where the kernel ends it, and at nothing else that a name may hold."""
    with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        return file.read()


def cpu_group(cgroup: str, mounts: str) -> str | None:
    """The folder of our own group, from those two files of /proc (man 7 cgroups, man 5 proc)."""
    places = {}  # of the group that shares out the processor, by the kind of hierarchy
    for line in cgroup.split("\n")[:-1]:
        _, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(","):
            places["cgroup"] = path
        elif controllers == "":
            places["cgroup2"] = path
    # Both may be mounted; then the processor belongs to the older one that names it.
    kind = "cgroup" if "cgroup" in places else "cgroup2"
    ours = places.get(kind, "none")  # which is no path
    for line in mounts.split("\n")[:-1]:
        before, _, behind = line.partition(" - ")
        fields, (found, _, options) = before.split(" "), behind.split(" ", 2)
        if found == kind and (kind == "cgroup2" or "cpu" in options.split(",")):
            root, mounted = fields[3], fields[4]
            if f"{ours}/".startswith(root.rstrip("/") + "/"):
                return (mounted + ours.removeprefix(root.rstrip("/"))).rstrip("/")
    return None


def hushed(server: int) -> bool:
    """Tell the session of each of its processes what we told the process. False: not yet all.

    Where Linux shares cores among sessions first (`sched_autogroup`), what one process of them
    concedes counts only within its own, and Postgres opens a session for each of its processes.
    """
    with suppress(OSError), open(f"/proc/{server}/task/{server}/children") as children:
        for process in (str(server), *children.read().split()):
            try:
                with open(f"/proc/{process}/autogroup", "r+b", buffering=0) as group:
                    if not group.read().endswith(b" %s\n" % NICE):
                        group.write(NICE)
            except BlockingIOError:
                return False  # too many orders at once: the rest in a moment
            except OSError:
                continue  # no such grouping, or the process is gone
    return True


def destroy(server: int) -> None:
    """SIGKILL. The pid is the server's for certain: only `ended` reaps it."""
    with suppress(OSError):
        os.killpg(server, signal.SIGKILL)
    os.kill(server, signal.SIGKILL)


def ended(server: int) -> int | None:
    """The exit code, or 128 + the signal that ended it; None while it runs."""
    pid, status = os.waitpid(server, os.WNOHANG)
    if pid == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
