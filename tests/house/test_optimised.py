"""python -O takes the assertions away that keep money right: the engine refuses to run without."""

import subprocess
import sys


def test_refuses_to_run_without_assertions() -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-c", "from authz.app.cli import main; main()"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    # One plain sentence for a person, no traceback.
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
