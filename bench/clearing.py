"""How fast clearing files are verified and read, how much memory that takes; cardutil beside it.

Of each format one file of so many items is written, read through (`read_clearing`), and read once
more for its items. Memory is that of a process of its own, which does both. cardutil, where it is
installed, cuts the first records of the IPM file into elements, without judging them: that is the
step that ours does not take with it.
"""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.machine import publish, this_machine
from ledger.clearing.base2_writer import write_base2
from ledger.clearing.csv_file import write_csv
from ledger.clearing.ipm_frames import read_frames
from ledger.clearing.ipm_message import read_message
from ledger.clearing.ipm_writer import write_ipm
from ledger.clearing.pan import Pan
from ledger.clearing.reading import read_clearing
from ledger.clearing.record import ClearedItem, Kind, check_digit
from ledger.clearing.source import Source

DAY = date(2026, 11, 20)
PEER_RECORDS = 2000

# Both readings, and the most memory that the process ever had, in KiB.
READ_BOTH = """
import resource, sys
from ledger.clearing.reading import read_clearing
assert sum(1 for _ in read_clearing(sys.argv[1]).items()) == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def items(count: int) -> Iterator[ClearedItem]:
    """Purchases with all that the formats have room for."""
    for number in range(count):
        reference = f"24111116324{number:011}"
        yield ClearedItem(
            record=0, network="visa", kind=Kind.PRESENTMENT, of=Kind.PRESENTMENT, sign=1,
            pan=Pan(f"999999{number:010}"), transaction_minor=1000 + number % 90_000,
            transaction_currency="978", billing_minor=1100 + number % 90_000,
            billing_currency="840", arn=reference + check_digit(reference),
            approval_code=f"{number % 10**6:06}", local_date=DAY, mcc="5411",
            merchant_id="MERCHANT0000042", merchant_name="CORNER GROCERY",
            merchant_city="SPRINGFIELD", merchant_country="US", terminal_id="TERM0042",
            acquirer_id="41111100", clearing_number=1, clearing_count=1,
        )  # fmt: skip


def write(name: str, path: Path, count: int) -> None:
    if name == "csv":
        with path.open("w") as text:
            write_csv(items(count), text, business_date=DAY)
        return
    with path.open("wb") as stream:
        if name == "base2":
            write_base2(items(count), stream, business_date=DAY)
        else:
            write_ipm(items(count), stream, business_date=DAY)


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def of_format(name: str, path: Path, count: int) -> dict[str, float]:
    write_s = timed(lambda: write(name, path, count))
    start = time.perf_counter()
    found = read_clearing(path)
    verify_s = time.perf_counter() - start
    assert (found.item_count, found.bad_count) == (count, 0)
    items_s = timed(lambda: sum(1 for _ in found.items()))
    done = subprocess.run(
        [sys.executable, "-c", READ_BOTH, str(path), str(count)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {
        "bytes": path.stat().st_size,
        "write_per_s": round(count / write_s),
        "verify_per_s": round(count / verify_s),
        "items_per_s": round(count / items_s),
        "memory_mb": round(int(done.stdout) / 1024),
    }


def beside_cardutil(path: Path) -> dict[str, float] | None:
    """The same records cut into elements, by both; None: it is not installed."""
    if importlib.util.find_spec("cardutil") is None:
        return None
    loads = importlib.import_module("cardutil.iso8583").loads
    with Source(path) as source:
        records = list(islice(read_frames(source, blocked=True), PEER_RECORDS))
    ours = timed(lambda: [read_message(record, "cp500") for record in records])
    theirs = timed(lambda: [loads(record, encoding="cp500") for record in records])
    return {
        "ours_us": round(ours / len(records) * 1e6, 1),
        "cardutil_us": round(theirs / len(records) * 1e6, 1),
    }


def run(json_path: str | None, *, records: int = 100_000, post: int = 20_000) -> None:
    answer: dict[str, Any] = {"machine": this_machine(), "records": records, "formats": {}}
    lines = [f"{records:,} items in each file"]
    with TemporaryDirectory() as folder:
        for name in ("ipm", "base2", "csv"):
            path = Path(folder) / name
            figures = answer["formats"][name] = of_format(name, path, records)
            lines.append(
                f"{name:<6} {figures['bytes'] / records:5.0f} bytes each"
                f"   verified {figures['verify_per_s']:>7,}/s"
                f"   items {figures['items_per_s']:>7,}/s"
                f"   written {figures['write_per_s']:>7,}/s   {figures['memory_mb']:>5,} MB at most"
            )
            if name == "ipm" and (peer := beside_cardutil(path)) is not None:
                answer["cut"] = peer
                lines.append(
                    f"       a record cut into elements: {peer['ours_us']} us,"
                    f" by cardutil {peer['cardutil_us']} us"
                )
            path.unlink()
    if post:
        from bench.clearing_post import posted  # not before: reading needs no servers

        answer["post"] = figures = posted(post)
        lines.append(
            f"{post:,} of a CSV posted: written down {figures['planned_per_s']:,}/s,"
            f" then posted {figures['posted_per_s']:,}/s"
        )
    publish(answer, lines, json_path)
