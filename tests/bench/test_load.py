"""The load harness tells the truth about time: stalls count, whoever made them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path
from time import monotonic, sleep

import pytest

from authz.app.heartbeat import Stall
from authz.simulator.merchants import make_merchants
from authz.simulator.population import make_population
from authz.simulator.traffic import Traffic
from authz.wire.to_response import Reply, to_response
from bench import load, stand
from bench.load import FAILED, INCONCLUSIVE, OK, Order, Timed, Used, drive, figures, verdict
from bench.load_figures import bottleneck
from bench.machine import cores, cpu_seconds
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from iso8583.mti import response_to
from rules.reason import Reason

DIALECT, FRAMING = BY_NAME["iso87_ascii"], FRAMINGS["binary2"]
IDLE = Used(generator=0.1, engine=0.1, store=0.1, elapsed_s=10.0)
PROMISED = """
    offered_per_s achieved_per_s sent answered unanswered over_budget stalls
    p50_ms p90_ms p99_ms p999_ms max_ms approved declined referred
    audit_ok journal_lag_max drained_s durability
    unattributed_over_budget late_sends generator_us engine_us store_us engine_clock machine
    by_share generator garbage cards cores_used memory_mb steal_share fdatasync_ms
"""


class Stalling:
    """An engine that approves everything, and once says nothing for a while."""

    def __init__(self, after_s: float, for_s: float) -> None:
        self.after_s, self.for_s = after_s, for_s
        self.stalled_at = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames, first = FRAMING.reader(), 0.0
        clock = asyncio.get_running_loop().time
        while data := await reader.read(65_536):
            for frame in frames.feed(data):
                message = decode(frame.body, DIALECT)
                first = first or clock()
                if not self.stalled_at and clock() - first > self.after_s:
                    self.stalled_at = clock()
                    await asyncio.sleep(self.for_s)
                fields = to_response(message, Reply(Reason.APPROVED))
                body = encode(response_to(message.mti), fields, DIALECT)
                writer.write(FRAMING.pack(body))
        writer.close()


def events(count):
    population = make_population(1, 50)
    return list(islice(Traffic(population, make_merchants(1), 1), count))


def run_against(engine, rate, count):
    intended = events(count)

    async def both():
        server = await asyncio.start_server(engine.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            return await drive(intended, "127.0.0.1", port, rate, links=1)

    return asyncio.run(both())


def test_a_stall_shows_in_every_message_that_fell_due_in_it():
    engine = Stalling(after_s=0.4, for_s=0.3)
    report = run_against(engine, rate=500.0, count=600)

    f = figures(report, [], IDLE, 0.0)

    assert f["answered"] == f["measured"] == 600
    # 150 of 600 fell due while nobody answered; a closed loop would have seen one.
    assert 200 < f["p99_ms"] < 400
    assert f["p50_ms"] < 100
    assert 25 <= f["unattributed_over_budget"] == f["over_budget"] <= 100

    beside = figures(report, [Stall(engine.stalled_at, 0.3)], IDLE, 0.0)
    assert beside["unattributed_over_budget"] == 0
    assert beside["over_budget"] == f["over_budget"]
    assert beside["p99_undisturbed_ms"] < 100


def report_of(*answers: tuple[float, float]) -> Timed:
    """Due, latency, of each answer."""
    report = Timed()
    for number, (due, latency_s) in enumerate(answers):
        report.record(f"0100 {number}", "0100", "00", "A", due, due + latency_s)
        report.sent += 1
    return report


def test_the_warm_up_is_cut_from_the_quantiles_and_from_nothing_else():
    report = report_of((100.0, 0.9), (101.9, 0.3), (102.0, 0.004), (103.0, 0.005))

    f = figures(report, [], IDLE, 2.0)

    assert f["measured"] == 2
    assert f["max_ms"] == pytest.approx(5.0, rel=0.002)
    assert f["over_budget"] == f["unattributed_over_budget"] == 2
    assert f["answered"] == 4


def test_an_answer_slower_than_the_histogram_is_long_still_counts():
    f = figures(report_of((100.0, 90.0), (100.0, 0.001)), [], IDLE, 0.0)
    assert f["measured"] == 2
    assert f["max_ms"] == pytest.approx(60_000, rel=0.002)


@pytest.mark.parametrize(
    ("generator_s", "engine_s", "late", "everybody", "said"),
    [
        (1.0, 1.0, 0, 2.0, ""),
        (9.5, 1.0, 0, 10.5, "it used 95% of a core"),
        (1.0, 1.0, 10, 2.0, ""),  # one in a hundred may
        (1.0, 1.0, 11, 2.0, "11 of 1,000 messages left over 10 ms late, with cores to spare"),
        (1.0, 0.0, 11, 10.0 * cores(), "others used"),
        (1.0, 10.0 * cores(), 11, 10.0 * cores(), ""),  # we keep all busy: the engine's affair
    ],
)
def test_the_generator_says_when_it_was_what_was_slow(generator_s, engine_s, late, everybody, said):
    used = Used(generator_s, engine_s, 0.0, elapsed_s=10.0, everybody=everybody)
    told = bottleneck(Timed(sent=1000, late_sends=late), used)
    assert told.endswith(said) if not said.startswith("others") else said in told
    assert bool(told) == bool(said)


def test_an_answer_is_attributed_only_to_a_stall_that_fell_into_its_time():
    report = report_of((10.0, 0.25), (20.0, 0.25))
    stalls = [Stall(9.8, 0.1), Stall(20.2, 0.1)]  # over before the first; during the second

    assert figures(report, stalls, IDLE, 0.0)["unattributed_over_budget"] == 1


def test_a_stall_of_a_machine_that_we_keep_busy_is_ours():
    report = report_of((10.0, 0.25))
    busy = Used(generator=10.0 * cores(), engine=0.0, store=0.0, elapsed_s=10.0)

    assert figures(report, [Stall(10.0, 0.2)], busy, 0.0)["unattributed_over_budget"] == 1


def test_what_others_used_is_told_apart():
    used = Used(generator=1.0, engine=2.0, store=1.0, elapsed_s=10.0, everybody=5.0)

    assert used.share == pytest.approx(4.0 / 10.0 / cores())
    assert used.others_share == pytest.approx(1.0 / 10.0 / cores())


FINE = {
    "audit_ok": True, "audit_differences": 0, "unanswered": 0, "unsent": 0, "conflicts": 0,
    "unattributed_over_budget": 0, "p99_ms": 19.0, "p99_undisturbed_ms": 19.0, "stalls": 0,
    "p999_ms": 49.0, "p999_undisturbed_ms": 49.0,
    "no_verdict": 0, "books_faults": [], "not_accepted": 0, "unmatched": 0, "unreadable": 0,
    "generator": {"bottleneck": ""},
}  # fmt: skip
SLOW = {"generator": {"bottleneck": "it used 97% of a core"}}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, OK),
        ({"p99_ms": 20.0}, OK),
        ({"p99_ms": 20.1, "p99_undisturbed_ms": 20.1}, FAILED),
        ({"p99_ms": 20.1, "stalls": 1}, INCONCLUSIVE),
        ({"p99_ms": 20.1, "stalls": 1, "unanswered": 1}, FAILED),
        ({"p999_ms": 50.1, "p999_undisturbed_ms": 50.1}, FAILED),
        ({"p999_ms": 50.1, "stalls": 1}, INCONCLUSIVE),
        ({"unanswered": 1}, FAILED),
        ({"unsent": 1}, FAILED),
        ({"conflicts": 1}, FAILED),
        ({"unattributed_over_budget": 1}, FAILED),
        ({"no_verdict": 1}, FAILED),
        ({"no_verdict": 1, "stalls": 1}, INCONCLUSIVE),
        ({"audit_ok": False}, FAILED),
        ({"books_faults": ["one"], "stalls": 1}, FAILED),
        ({"not_accepted": 1}, FAILED),
        ({"unmatched": 1}, FAILED),
        ({"unreadable": 1}, FAILED),
        ({"p99_ms": 21.0, "p99_undisturbed_ms": 21.0} | SLOW, INCONCLUSIVE),
        ({"unanswered": 1} | SLOW, INCONCLUSIVE),
        ({"unattributed_over_budget": 1} | SLOW, INCONCLUSIVE),
        (SLOW, OK),
        ({"conflicts": 1} | SLOW, FAILED),
        ({"audit_ok": False} | SLOW, FAILED),
    ],
)
def test_exit_codes(changes, code):
    assert verdict(FINE | changes, 20.0, 50.0)[0] == code


def test_a_small_run_of_everything(tmp_path, capsys):
    path = tmp_path / "load.json"

    order = Order(rate=200, seconds=1, warm_up_s=0.3, cards=50, links=2, books=False)
    code = load.run(order, str(path))

    answer = json.loads(path.read_text(encoding="utf-8"))
    assert set(answer) >= set(PROMISED.split())
    assert answer["sent"] == answer["answered"] == 260
    assert answer["approved"] + answer["declined"] + answer["referred"] <= 260
    assert answer["measured"] == 200
    assert answer["audit_ok"]
    assert answer["durability"] == "always"
    assert answer["journal_lag_max"] is answer["drained_s"] is None
    assert answer["writer_us"] == answer["postgres_us"] == 0
    assert answer["engine_clock"]["count"] >= 260
    assert answer["exit_code"] == code
    assert "without books" in capsys.readouterr().out


def test_books_are_drained_beside_the_load(tmp_path):
    path = tmp_path / "load.json"

    load.run(Order(rate=200, seconds=1, warm_up_s=0.3, cards=50, links=2), str(path))

    answer = json.loads(path.read_text(encoding="utf-8"))
    assert answer["books_faults"] == []
    assert answer["journal_lag_max"] > 0
    assert 0 <= answer["drained_s"] < 60
    assert answer["writer_us"] > 0
    assert answer["postgres_us"] > 0


def test_the_engine_and_the_store_are_stopped_when_the_run_fails(monkeypatch):
    started = []

    async def fail(order, events, stood):
        started.extend((stood.engine, stood.valkey))
        raise KeyboardInterrupt

    monkeypatch.setattr(load, "observe", fail)
    with pytest.raises(KeyboardInterrupt):
        load.run(Order(rate=100, seconds=1, warm_up_s=0.1, cards=10), None)

    assert len(started) == 2
    for process in started:
        assert cpu_seconds(process.pid) is None


def test_nothing_is_measured_while_the_loading_is_still_on_its_way(tmp_path, monkeypatch):
    monkeypatch.setattr(stand, "DRAIN_S", -60.0)  # it has no time at all

    async def stands():
        async with stand.stand(tmp_path, cards=20, seed=1, dialect="iso87_ascii", books=True):
            pass

    with pytest.raises(RuntimeError, match="did not get into the books"):
        asyncio.run(stands())


def of_its_own(pid):
    """The card network that a load has started, once it has."""
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if b"bench.generator" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    return 0


def test_an_interrupt_ends_all_of_it_and_says_no_more_than_that():
    words = ["bench", "load", "--rate", "20", "--seconds", "60", "--cards", "10", "--no-books"]
    # As in a terminal: a session of its own, and whoever is in its group hears of the Ctrl-C.
    load = subprocess.Popen(
        [sys.executable, "-m", "authz", *words], stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        until = monotonic() + 60
        while not (network := of_its_own(load.pid)) and monotonic() < until:
            sleep(0.01)
        os.killpg(load.pid, signal.SIGINT)
        said = load.communicate(timeout=30)[1].decode()
    finally:
        load.kill()
    assert network
    assert load.returncode == 1
    assert "Aborted!" in said
    assert "Traceback" not in said
    assert not Path(f"/proc/{network}").exists()
