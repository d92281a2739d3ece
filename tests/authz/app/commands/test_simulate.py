"""The card network as a command, against a running engine."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from authz.app.child import EngineProcess
from ledger.clearing.reading import read_clearing

HEADER = (
    "unix_time,cc_num,acct_num,lat,long,category,merchant,amt,merch_lat,merch_long,"
    "trans_num,is_fraud,state,zip"
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EngineProcess, Path]]:
    """An engine with a store of its own, as `authz serve` makes it."""
    folder = tmp_path_factory.mktemp("engine")
    process = EngineProcess(folder, "--data-dir", str(folder / "data"))
    process.wait_until_ready()
    yield process, folder
    process.stop()


def simulate(engine: tuple[EngineProcess, Path], *arguments: str) -> subprocess.CompletedProcess:
    process, folder = engine
    return subprocess.run(
        [
            sys.executable, "-m", "authz", "simulate", "--port", str(process.port),
            "--data-dir", str(folder / "data"), *arguments,
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_generated_traffic(engine: tuple[EngineProcess, Path]) -> None:
    done = simulate(engine, "--cards", "200", "--rate", "200", "--seconds", "1", "--json", "-")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["sent"] == answer["answered"] == 200
    assert answer["conflicts"] == 0
    assert "200 created" in done.stderr


def test_clearing_files_of_what_was_approved(
    engine: tuple[EngineProcess, Path], tmp_path: Path
) -> None:
    out = tmp_path / "clearing"
    done = simulate(engine, "--cards", "200", "--rate", "200", "--seconds", "1", "--seed", "5",
                    "--clearing", str(out))  # fmt: skip
    assert done.returncode == 0, done.stderr
    [path, late] = sorted(out.glob("*.csv"))
    assert f"clearing: {path}, and what is expected" in done.stderr
    file = read_clearing(path)
    assert file.bad_count == 0
    manifest = json.loads(Path(f"{path}.json").read_text())
    assert len(manifest["records"]) == file.item_count > 150
    assert json.loads(Path(f"{late}.json").read_text())["after_expiry"]
    told = {r["authorization"] for r in manifest["records"]}
    assert not told & set(manifest["missing"])


def test_a_network_that_does_not_speak_the_dialect_is_wrong_use(
    engine: tuple[EngineProcess, Path],
) -> None:
    done = simulate(engine, "--dialect", "iso93_ascii", "--network", "visa")
    assert done.returncode == 2
    assert "visa does not speak iso93_ascii" in done.stderr


def test_visa_over_tcp_with_its_header(tmp_path: Path) -> None:
    spoken = ("--dialect", "visa", "--framing", "vap", "--network", "visa")
    process = EngineProcess(tmp_path, "--data-dir", str(tmp_path / "data"), *spoken)
    try:
        process.wait_until_ready()
        given = ("--cards", "100", "--rate", "200", "--seconds", "1", "--json", "-")
        done = simulate((process, tmp_path), "--dialect", "visa", *given)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["sent"] == answer["answered"] == 200
        assert answer["approved"] > 100
    finally:
        process.stop()


def test_a_file_is_replayed_and_its_bad_rows_are_told(
    engine: tuple[EngineProcess, Path], tmp_path: Path
) -> None:
    rows = [
        f"{1767225645 + n},464108192325863{n % 7:04},6716779{n % 7:05},35.7,-77.6,gas_transport,"
        f"fraud_Kuvalis Ltd,{n}.57,36.6,-78.4,id{n},0,NC,27852"
        for n in range(1, 41)
    ]
    rows[5] = rows[5].replace(",6.57,", ",six,")
    path = tmp_path / "transactions.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    done = simulate(engine, "--csv", str(path), "--rate", "400", "--json", "-")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["sent"] == answer["answered"] == 39
    assert answer["approved"] == 39
    assert "line 7" in done.stderr
    assert "46410819232586" not in done.stderr


def test_a_wrong_file_and_a_wrong_port_are_told_in_a_sentence(
    engine: tuple[EngineProcess, Path], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,b\n1,2\n")
    done = simulate(engine, "--csv", str(wrong))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    done = simulate(engine, "--port", "1", "--no-load")
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    for arguments in (("--rate", "fast"), ("--links", "0"), ("--csv", str(tmp_path / "none.csv"))):
        assert simulate(engine, *arguments).returncode == 2


def test_a_story_on_an_engine_that_runs(engine: tuple[EngineProcess, Path]) -> None:
    done = simulate(engine, "--story", "partial-reversal")
    assert done.returncode == 0, done.stderr
    for line in (
        "1. The acquirer asks for 60.00.", "held 25.00 USD, available 75.00 USD", "as told",
    ):  # fmt: skip
        assert line in done.stdout
    # What one telling left does not come into the next one's way.
    assert simulate(engine, "--story", "partial-reversal").returncode == 0


def test_all_stories_that_the_link_can_be_told(engine: tuple[EngineProcess, Path]) -> None:
    done = simulate(engine, "--story", "all")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "left out, being of another --dialect: " in done.stdout
    assert "purchase-1993" not in done.stdout.partition("\n")[2]
    assert done.stdout.count("\nas told\n") > 25


def test_stories_are_listed_and_a_wrong_name_is_wrong_use(
    engine: tuple[EngineProcess, Path],
) -> None:
    listed = simulate(engine, "--story", "list")
    assert (listed.returncode, "same-id-other-content" in listed.stdout) == (0, True)
    wrong = simulate(engine, "--story", "no-such-story")
    assert (wrong.returncode, "same-id-other-content" in wrong.stderr) == (2, True)
    assert simulate(engine, "--own-engine").returncode == 2


def test_a_story_that_goes_otherwise_is_exit_code_1(engine: tuple[EngineProcess, Path]) -> None:
    """On a link that speaks 1987 a message of 1993 is a format error: not as in the story."""
    done = simulate(engine, "--story", "purchase-1993")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_pipe_that_nobody_reads_on_is_no_error(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "authz", "simulate", "--story", "repeat", "--own-engine"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.stderr is not None
        assert running.stderr.read() == ""
        assert running.wait(60) == 1


def test_another_framing_is_hinted_at(engine: tuple[EngineProcess, Path]) -> None:
    done = simulate(engine, "--story", "repeat", "--framing", "etx")
    assert done.returncode == 1
    assert "0800" in done.stderr
    assert "are --dialect and --framing those of its link?" in done.stderr


def test_a_story_brings_its_own_engine(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "authz", "simulate", "--story", "repeat", "--own-engine"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "as told" in done.stdout
    assert not list(tmp_path.iterdir())
