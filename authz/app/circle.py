"""The demo's second half: what the network saw approved is cleared by a file, settled and proved.

The file is cleared by the command that an operator would run, as a process of its own. What must
become of each of its records, the network's manifest says.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from authz.app.child import OURS
from authz.app.clearing_files import write_clearing
from authz.app.proof_page import page
from authz.clock import SystemClock, utc
from authz.simulator.cards import Population
from authz.simulator.messages import Event
from authz.simulator.report import Report
from ledger.database import connect
from ledger.proof import Proof
from ledger.proof_reading import prove

NETWORK = "generic"  # as the demo's link has it
CONFIG = f"""
[clearing]
by_file = "{NETWORK}"
"""
UTC = ZoneInfo("UTC")
LOOK_S = 0.2
TAKEN_S = 15.0  # the writer's process looks for lines to settle every five


class Cleared(Struct, frozen=True):
    """What became of a file's records."""

    records: int
    outcomes: dict[str, int]
    expected: dict[str, int]  # by the network that wrote it

    def failures(self) -> list[str]:
        if self.outcomes == self.expected:
            return []
        different = sorted(
            name
            for name in {*self.outcomes, *self.expected}
            if self.outcomes.get(name) != self.expected.get(name)
        )
        return [f"records of the clearing file ended otherwise than expected: {different}"]


class Settling(Struct, frozen=True):
    """What is to be settled with the network."""

    batches: int
    lines: int  # of the books, in these batches
    owed: int  # such lines there are


def write_config(folder: Path) -> Path:
    """For the engine and for `authz clear`: the network's money moves by its file."""
    file = folder / "authz.toml"
    file.write_text(CONFIG, encoding="utf-8")
    return file


async def clear(
    folder: Path, redis_url: str, dsn: str, events: Sequence[Event], report: Report,
    population: Population, *, seed: int, today: date,
) -> Cleared:  # fmt: skip
    """Write the day's clearing file, and clear it. Raises: RuntimeError, with what it said."""
    path, *_ = await asyncio.to_thread(
        write_clearing, folder / "clearing", NETWORK, events, report, population, seed=seed,
        day=today,
    )  # fmt: skip
    manifest = msgspec.json.decode(await asyncio.to_thread(Path(f"{path}.json").read_bytes))
    process = await asyncio.create_subprocess_exec(
        *OURS, "clear", str(path), "--network", NETWORK, "--redis", redis_url, "--postgres", dsn,
        "--pan-key-file", str(folder / "pan.key"), "--config", str(folder / "authz.toml"),
        "--json", "-", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, words = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"authz clear ended with {process.returncode}: {words.decode()[-500:]}")
    outcomes = Counter[str]()
    for row in msgspec.json.decode(said)["outcomes"]:
        outcomes[row["outcome"]] += row["records"]
    return Cleared(outcomes.total(), dict(outcomes), manifest["counts"])


async def settle_and_prove(dsn: str, html: Path | None) -> tuple[Settling, Proof]:
    """What the day came to, once all is in the books; the page of it, where it is asked for."""
    connection = await connect(dsn, name="authz demo")
    try:
        clock = SystemClock()
        until = clock.monotonic() + TAKEN_S
        while True:
            batches, lines, owed = await connection.fetchrow(
                "SELECT (SELECT count(*) FROM settlement_batch), "
                "(SELECT count(*) FROM settlement_line), "
                "(SELECT count(*) FROM posting WHERE role = 'network')"
            )
            if lines == owed or clock.monotonic() > until:
                break
            await asyncio.sleep(LOOK_S)
        now_ms = clock.now_ms()
        proof = await prove(connection, utc(now_ms).date(), UTC, now_ms)
    finally:
        await connection.close()
    if html is not None:
        await asyncio.to_thread(html.write_text, page(proof), "utf-8")
    return Settling(batches, lines, owed), proof
