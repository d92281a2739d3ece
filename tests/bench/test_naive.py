"""The naive engine answers what ours answers, or it would be no comparison."""

import asyncio
from collections import Counter

import pytest

from bench.load import drive
from bench.stand import PEER_PYTHON, naive_stand, stand

pytestmark = pytest.mark.skipif(not PEER_PYTHON.exists(), reason="`make peers` installs its codec")


def test_it_answers_the_same_traffic_much_as_ours_does(tmp_path):
    async def verdicts(standing):
        async with standing as stood:
            report = await drive(stood.events(150), "127.0.0.1", stood.engine.port, 60.0, 2)
            return Counter(verdict[:2] for verdict in report.answers.values()), report

    for name in ("naive", "ours"):
        (tmp_path / name).mkdir()
    naive, told = asyncio.run(verdicts(naive_stand(tmp_path / "naive", cards=100, seed=1)))
    assert told.answered == told.sent == 150
    assert told.unreadable == told.unmatched == told.conflicts == 0
    ours, mine = asyncio.run(
        verdicts(stand(tmp_path / "ours", cards=100, seed=1, dialect="iso87_ascii", books=False))
    )
    assert abs(naive["00"] - ours["00"]) <= 8, (naive, ours)
    assert mine.answered == mine.sent == 150  # a repeat is one message with its first here
    assert mine.unreadable == mine.unmatched == mine.conflicts == 0
    assert sum(naive.values()) > naive["00"] > 100
