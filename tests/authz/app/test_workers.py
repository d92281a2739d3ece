"""Several workers, as real processes: links spread, numbers gathered, and every way of dying."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from authz.app.front import ASK_S
from authz.app.store import ADDRESS, Store, opened, pan_keys
from authz.app.workers import HAND_ON_S
from authz.clock import SystemClock
from authz.config import Config, EmbeddedConfig
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import keys
from authz.privacy import Pan
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from iso8583.message import Message
from tests.support.engine import account, purchase

DIALECT, FRAMING = BY_NAME["iso87_ascii"], FRAMINGS["binary2"]
CARDS = 8
OPENING = 100_000
LISTENERS = """
[[link]]
name = "strict"
port = 0
[[link]]
name = "trusting"
port = 0
sign_on_required = false
"""


def pan(number: int) -> str:
    return f"99999900000{number:05}"


class Engine:
    """`authz serve --workers 2`, with a store of its own and eight cards, each on its account."""

    def __init__(self, folder: Path) -> None:
        self.data, self.state = folder / "data", folder / "state"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._log = folder / "log"
        announce, config = folder / "announce", folder / "authz.toml"
        config.write_text(LISTENERS)
        options = {
            "--config": config, "--workers": 2, "--metrics-port": 0, "--announce": announce,
            "--data-dir": self.data, "--state-dir": self.state,
        }  # fmt: skip
        arguments = [str(word) for option in options.items() for word in option]
        env = {name: text for name, text in os.environ.items() if not name.startswith("AUTHZ_")}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "authz", "serve", *arguments],
                env=env | {"TMPDIR": str(self.temporary)},
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        until(lambda: announce.exists() or self.process.poll() is not None, 15)
        assert announce.exists(), self._log.read_text()
        told = json.loads(announce.read_text())
        self.ports, self.http_port = told["ports"], told["http_port"]
        self.url = (self.data / ADDRESS).read_text().strip()

    def workers(self) -> dict[int, int]:
        """Process ids by the worker's number, of the latest start of each."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        return {
            line["worker"]: line["process"] for line in lines if line["event"] == "worker_started"
        }

    def store(self) -> int:
        with redis.Redis.from_url(self.url) as store:
            return int(store.info("server")["process_id"])

    async def load_cards(self) -> None:
        config = Config(embedded=EmbeddedConfig(data_dir=self.data))
        accounts = [account(f"A{n}") for n in range(CARDS)]
        async with opened(Store(self.url, self.url, None, False), "test") as state:
            new = [NewAccount(profile=each, opening_minor=OPENING) for each in accounts]
            await put_accounts(state, new, "test")
            cards = [
                NewCard(pan=Pan(pan(n)), account_id=f"A{n}", expiry="2912") for n in range(CARDS)
            ]
            assert (await put_cards(state, pan_keys(config), cards, "test")).created == CARDS

    def held(self, number: int) -> int:
        with redis.Redis.from_url(self.url) as store:
            return int(store.hget(keys.account(f"A{number}"), "held:840") or 0)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}") as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def by_worker(self, sample: str) -> dict[str, float]:
        families = text_string_to_metric_families(self.get("/metrics")[1])
        found = Counter[str]()
        for each in (sample for family in families for sample in family.samples):
            if each.name == sample:
                found[each.labels["worker"]] += each.value
        return dict(found)

    def ready(self) -> bool:
        return self.get("/health")[0] == 200


class NetworkLink:
    """A card network's link, signed on or not."""

    def __init__(self, engine: Engine, name: str = "strict", sign_on: bool = True) -> None:
        self._socket = socket.create_connection(("127.0.0.1", engine.ports[name]), 5)
        self._socket.settimeout(5)
        if sign_on:
            self._sign_on()

    def _sign_on(self) -> None:
        assert self.say("0800", {7: now(), 11: "000001", 70: "001"})[39] == "00"

    def send(self, raw: bytes) -> bytes:
        self._socket.sendall(FRAMING.pack(raw))
        return self._read(int.from_bytes(self._read(2), "big"))

    def say(self, mti: str, fields: dict[int, str]) -> Message:
        return decode(self.send(encode(mti, fields, DIALECT)), DIALECT)

    def alive(self) -> bool:
        """Whether an echo comes back."""
        try:
            return self.say("0800", {7: now(), 11: "000002", 70: "301"})[39] == "00"
        except ConnectionError:
            return False

    def close(self) -> None:
        self._socket.close()

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise ConnectionResetError
            data += more
        return data


@contextmanager
def links(engine: Engine, count: int) -> Iterator[list[NetworkLink]]:
    made: list[NetworkLink] = []
    try:
        for _ in range(count):
            made.append(NetworkLink(engine))
        yield made
    finally:
        for link in made:
            link.close()


def now() -> str:
    return str(buy(0)[7])


def buy(card: int, stan: int = 1, amount: int = 1500) -> dict[int, str]:
    return purchase(stan, amount, at_ms=SystemClock().now_ms(), de2=pan(card), de14="2912")


def until(true: Callable[[], bool], within_s: float) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


def gone(process: int) -> bool:
    """No such process, or one that has ended and that nobody has asked about yet."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return state == "" or state.startswith("Z")


@contextmanager
def started() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Path(folder))
        try:
            yield engine
        finally:
            with engine.process:
                engine.process.terminate()
                try:
                    engine.process.wait(10)
                finally:
                    engine.process.kill()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with started() as running:
        asyncio.run(running.load_cards())
        yield running


def test_links_are_handed_to_the_workers_in_turn(engine: Engine) -> None:
    with links(engine, 4) as four:
        until(lambda: engine.by_worker("authz_links") == {"0": 2, "1": 2}, 2)
        for n, link in enumerate(four):
            answer = link.say("0100", buy(n))
            assert (answer.mti, answer[39]) == ("0110", "00")
            assert engine.held(n) == 1500
        answered = engine.by_worker("authz_answer_seconds_count")
        assert min(answered.values()) >= 2


def test_one_question_to_two_workers_has_one_answer_and_one_hold(engine: Engine) -> None:
    raw = encode("0100", buy(4), DIALECT)
    with links(engine, 2) as (first, second):
        until(lambda: engine.by_worker("authz_links") == {"0": 1, "1": 1}, 2)
        answer = first.send(raw)
        assert second.send(raw) == answer
    assert decode(answer, DIALECT)[39] == "00"
    assert engine.held(4) == 1500


def test_a_link_keeps_the_manners_of_its_listener(engine: Engine) -> None:
    """Three links and three more: each listener's go to either worker."""
    for stan, name in enumerate(("strict", "trusting", "trusting") * 2, 50):
        link = NetworkLink(engine, name, sign_on=False)
        code = link.say("0100", buy(5, stan, 100))[39]
        link.close()
        assert (code == "00") == (name == "trusting"), code


def test_the_parent_speaks_for_all(engine: Engine) -> None:
    with links(engine, 2) as two:
        for stan, link in enumerate(two):
            assert link.say("0100", buy(5, stan))[39] == "00"
    assert engine.by_worker("authz_worker_up") == {"0": 1, "1": 1}
    assert engine.by_worker("authz_hot_up") == {"0": 1, "1": 1}
    status, body = engine.get("/health")
    assert (status, json.loads(body)["ready"]) == (200, True)
    latency = json.loads(engine.get("/latency")[1])
    assert latency["count"] == sum(engine.by_worker("authz_answer_seconds_count").values())
    assert 0 < latency["p50_ms"] <= latency["max_ms"]
    with redis.Redis.from_url(engine.url) as store:
        id = store.get(keys.STORE_ID).decode()
    spools = sorted(path.name for path in engine.state.iterdir())
    assert spools == [f"withdrawals-{id}{end}" for end in ("-0.jsonl", "-1.jsonl", ".lock")]


def test_a_killed_worker_takes_only_its_own_links_with_it(engine: Engine) -> None:
    with links(engine, 4) as four:
        until(lambda: engine.by_worker("authz_links") == {"0": 2, "1": 2}, 2)
        killed = engine.workers()[0]
        os.kill(killed, signal.SIGKILL)
        left = [link for link in four if link.alive()]
        assert len(left) == 2
        status, body = engine.get("/health")
        assert status == 503
        assert json.loads(body)["reason"].startswith("worker 0: ")
        assert engine.by_worker("authz_worker_up") == {"0": 0, "1": 1}
        assert left[0].say("0100", buy(6))[39] == "00"

        until(lambda: engine.workers()[0] != killed, 5)
        until(engine.ready, 10)
        assert engine.by_worker("authz_worker_restarts_total") == {"0": 1, "1": 0}
        with links(engine, 2) as two:
            until(lambda: engine.by_worker("authz_links") == {"0": 1, "1": 3}, 2)
            for stan, link in enumerate((*two, *left), 10):
                assert link.say("0100", buy(7, stan))[39] == "00"


@contextmanager
def stopped(*processes: int) -> Iterator[None]:
    """As under a debugger, or on a machine that swaps: alive, and not answering."""
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def test_a_stopped_worker_gets_no_links_until_it_answers_again(engine: Engine) -> None:
    until(engine.ready, 10)
    with stopped(engine.workers()[0]):
        with links(engine, 4) as four:  # each is signed on, so each was adopted
            assert all(link.alive() for link in four)
            began = time.monotonic()
            assert engine.by_worker("authz_worker_up") == {"0": 0, "1": 1}
            assert engine.get("/health")[1].count("worker 0: gives no answer") == 1
            assert engine.get("/latency")[0] == 200
            # Each waits a second for the stopped one.
            assert time.monotonic() - began < 3 * ASK_S + 3
            until(lambda: engine.by_worker("authz_links") == {"1": 4}, 5)

    def is_spread() -> bool:
        with links(engine, 2):
            return engine.by_worker("authz_links") == {"0": 1, "1": 1}

    until(is_spread, 10)
    assert engine.by_worker("authz_worker_restarts_total")["1"] == 0


def test_where_no_worker_answers_a_link_is_closed(engine: Engine) -> None:
    until(engine.ready, 10)
    with stopped(*engine.workers().values()):
        began = time.monotonic()
        knocking = [
            socket.create_connection(("127.0.0.1", engine.ports["strict"]), 5) for _ in range(4)
        ]
        for link in knocking:
            link.settimeout(10)
            with link:
                assert link.recv(1) == b""
        # All of them together, not one after the other.
        assert time.monotonic() - began < 2 * HAND_ON_S + 2
        status, text = engine.get("/metrics")
        assert (status, text.count("authz_worker_up{")) == (200, 2)
    until(engine.ready, 10)
    assert engine.by_worker("authz_links") == {"0": 0, "1": 0}
    with links(engine, 2) as two:
        assert all(link.alive() for link in two)


def test_sigterm_ends_everything() -> None:
    with started() as engine, links(engine, 2):
        family = [*engine.workers().values(), engine.store()]
        engine.process.terminate()
        assert engine.process.wait(10) == 0
        assert all(gone(each) for each in family)
        assert list(engine.temporary.iterdir()) == []


def test_sigkill_of_the_parent_ends_everything_too() -> None:
    with started() as engine, links(engine, 2):
        family = [*engine.workers().values(), engine.store()]
        engine.process.kill()
        until(lambda: all(gone(each) for each in family), 3)
        until(lambda: list(engine.temporary.iterdir()) == [], 1)
