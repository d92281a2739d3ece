"""A load, from intended events to a report: encoded before it, sent by a process of its own
(bench/generator.py), judged after it.

Latency counts from when a message should have left, so what the generator is late counts too; how
late that was is told beside it.
"""

import asyncio
import os
import sys
import tempfile
from array import array
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import ceil
from pathlib import Path

import msgspec
from msgspec import Struct, field

from authz.clock import SystemClock
from authz.simulator.accents import GENERIC_CODES, as_said, mti_in
from authz.simulator.link import Manners, manners_in, transmission_time
from authz.simulator.messages import Event, stamp
from authz.simulator.network import LATE_S
from authz.simulator.report import APPROVED, NO_VERDICT, REFERRED, Report
from authz.wire.networks import GENERIC, NETWORKS
from bench.generator import LAG_STEP_S, Noted, Plan
from bench.machine import CHECKOUT
from bench.mix import share_of
from bench.shapes import SAID_SIZE
from iso8583.codec import encode

BUDGET_S = 0.200
BEATS_PER_S = 1000
# Beyond the last message: late answers are waited for, and the result is written, in a few seconds
# each. Who takes longer hangs, and a bench that hangs tells nobody anything.
OVERTIME_S = 120.0
END_S = 10.0  # to sign off and hang up on each link, or to be seen ended once it was killed
ADVISED = frozenset({"reversals", "advices", "completions"})  # what an issuer can only take note of


class Timed(Report, kw_only=True):
    """A report that also keeps when each answered message was due, and what sent it."""

    dues: "array[float]" = field(default_factory=lambda: array("d"))
    lateness_s: "array[float]" = field(default_factory=lambda: array("d"))  # of leaving
    by_share: dict[str, Counter[str]] = field(default_factory=dict)  # of the mix, by verdict
    not_accepted: int = 0  # reversals, advices and completions that were not
    begun: float = 0.0  # monotonic
    cpu_s: float = 0.0  # the generator's, from the first message to the last answer
    lag_p99_ms: float = 0.0  # of its loop
    lag_max_ms: float = 0.0
    memory_mb: float = 0.0
    decoded: int = 0
    misread: int = 0

    def record(self, key: str, mti: str, code: str, approval: str, due: float, now: float) -> None:
        self.dues.append(due)
        Report.record(self, key, mti, code, approval, due, now)


class NotCarriedOut(RuntimeError):
    """The generator did not do what it was asked to. The text says how far it came."""


class Message(Struct, gc=False):
    """One that was sent, as its answer is judged by."""

    mti: str
    key: str  # as a `Report` has it
    share: str


def steady(count: int, rate: float) -> "array[float]":
    """When each message is due: seconds from the beginning."""
    return array("d", (on_the_beat(number / rate) for number in range(count)))


def on_the_beat(due_s: float) -> float:
    """The next whole millisecond: what falls due in one leaves together, as one write. A wake and a
    write for each message would cost the shared cores more than the engine takes for it."""
    return ceil(due_s * BEATS_PER_S - 1e-6) / BEATS_PER_S


async def drive(
    events: Sequence[Event], host: str, port: int, rate: float, links: int,
    dialect: str = "iso87_ascii", dues: "array[float] | None" = None,
    begins: Callable[[], None] = lambda: None, ends: Callable[[], None] = lambda: None,
) -> Timed:  # fmt: skip
    """Send these events at that rate, or when they are due, over so many links, and wait for the
    answers. `begins` and `ends` are called just before the first message and after the last answer:
    what is done around the run is not measured.

    Raises: NotCarriedOut, where the network could not sign on, or ended too early.
    """
    dues = steady(len(events), rate) if dues is None else dues
    manners = manners_in(dialect)
    with tempfile.TemporaryDirectory(prefix="authz-bench-") as folder:
        plan, messages = await asyncio.to_thread(
            plan_of, events, dues, manners, dialect, host, port, links
        )
        noted = await carried_out(plan, Path(folder), begins, ends)
    return await asyncio.to_thread(report_of, messages, dues, noted, manners.network)


def plan_of(
    events: Sequence[Event], dues: "array[float]", manners: Manners, dialect: str,
    host: str, port: int, links: int,
) -> tuple[Plan, list[Message]]:  # fmt: skip
    """Every message as it will leave. DE 7 is the second in which it is due, if we begin now."""
    now_ms = SystemClock().now_ms()
    frames, keys, messages = [], [], []
    plain = NETWORKS[manners.network] is GENERIC and manners.dialect.fields[22].maximum == 3
    for event, due in zip(events, dues):
        elements = stamp(event, transmission_time(now_ms + int(due * 1000)))
        if plain:
            body = encode(event.mti, elements, manners.dialect)
        else:
            said = as_said(manners.network, manners.dialect, event, elements)
            body = encode(mti_in(manners.network, event.mti), said, manners.dialect)
        frames.append(manners.framing.pack(body))
        keys.append(f"{elements[11]}{elements[32]}".encode())
        key = f"{event.mti[:3]}0 {elements[7]} {elements[11]} {elements[32]}"
        messages.append(Message(event.mti, key, share_of(event)))
    plan = Plan(
        host=host, port=port, dialect=dialect, framing=manners.framing.name,
        network=manners.network, links=links, dues=dues.tobytes(), frames=frames, keys=keys,
    )  # fmt: skip
    return plan, messages


async def carried_out(
    plan: Plan, folder: Path, begins: Callable[[], None], ends: Callable[[], None]
) -> Noted:
    """By a generator, which is gone afterwards. Raises: NotCarriedOut."""
    plan_path, result_path = folder / "plan", folder / "result"
    plan_path.touch(0o600)  # card numbers, though of nobody
    plan_path.write_bytes(msgspec.msgpack.encode(plan))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.generator", str(plan_path), str(result_path),
        stdin=PIPE, stdout=PIPE, cwd=CHECKOUT, preexec_fn=os.setpgrp,  # Ctrl-C is for us alone
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if await process.stdout.readline() != b"ready\n":
            raise NotCarriedOut("the card network of the load could not sign on")
        begins()
        process.stdin.write(b"go\n")
        await process.stdin.drain()
        async with asyncio.timeout(last_due(plan) + OVERTIME_S):
            if await process.stdout.readline() != b"done\n":
                raise NotCarriedOut("the card network of the load ended before its run did")
            ends()
            if await process.stdout.readline() != b"written\n":
                raise NotCarriedOut("the card network of the load ended before it told of its run")
        noted = msgspec.msgpack.decode(result_path.read_bytes(), type=Noted)
        await ended(process)  # it signs off
        return noted
    except TimeoutError:
        raise NotCarriedOut("the card network of the load did not end in its time") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await ended(process)


async def ended(process: asyncio.subprocess.Process) -> None:
    """It has ended; or that was not heard of in time, which is no reason to hang."""
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), END_S)


def last_due(plan: Plan) -> float:
    """When the last message is to leave: seconds from the beginning."""
    dues = array("d")
    dues.frombytes(plan.dues)
    return max(dues, default=0.0)


def report_of(
    messages: Sequence[Message], dues: Sequence[float], noted: Noted, network: str
) -> Timed:
    """What the network saw, message by message in the order of their sending."""
    report = Timed(
        budget_s=BUDGET_S, offered=len(messages), begun=noted.begun, cpu_s=noted.cpu_s,
        sending_s=noted.sending_s, decoded=noted.decoded, misread=noted.misread,
        unmatched=noted.unmatched, unreadable=noted.unreadable, cuts=noted.cuts,
        memory_mb=noted.memory_mb, lag_p99_ms=lag_at(noted.lags, 0.99),
        lag_max_ms=round(noted.lag_max_s * 1e3, 3),
    )  # fmt: skip
    sent, heard = array("d"), array("d")
    sent.frombytes(noted.sent)
    heard.frombytes(noted.heard)
    generic, begun = GENERIC_CODES[network], noted.begun
    for number, (message, due_s) in enumerate(zip(messages, dues)):
        due, left, came = begun + due_s, sent[number], heard[number]
        tally = report.by_share.setdefault(message.share, Counter())
        if not left:
            report.unsent += 1
            tally["unsent"] += 1
            continue
        report.sent += 1
        report.lateness_s.append(left - due)
        report.late_sends += left - due > LATE_S
        if not came:
            report.give_up(message.key)
            tally["unanswered"] += 1
            continue
        said = noted.said[SAID_SIZE * number : SAID_SIZE * (number + 1)].decode()
        code = said[6:].rstrip()
        code = generic.get(code, code)
        report.record(message.key, message.mti, code, said[:6].strip(), due, came)
        verdict = verdict_of(code)
        tally[verdict] += 1
        report.not_accepted += message.share in ADVISED and verdict in ("declined", "referred")
    report.elapsed_s, report.last_answer_at = noted.elapsed_s, begun + noted.elapsed_s
    return report


def verdict_of(code: str) -> str:
    if code in APPROVED:
        return "approved"
    if code in NO_VERDICT:
        return "no_verdict"
    return "referred" if code in REFERRED else "declined"


def lag_at(lags: Sequence[int], share: float) -> float:
    """Milliseconds, of the times that the loop woke for a message."""
    wanted, seen = share * sum(lags), 0
    for step, count in enumerate(lags):
        seen += count
        if count and seen >= wanted:
            return round((step + 1) * LAG_STEP_S * 1e3, 3)
    return 0.0
