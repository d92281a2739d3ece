"""The codec benchmark runs, agrees with pyiso8583, and reports under the names it promised."""

import json

import pytest

from bench.codec import DIALECTS, PEER_PYTHON, run


@pytest.mark.skipif(not PEER_PYTHON.exists(), reason="pyiso8583 is installed by `make peers`")
def test_one_round(tmp_path, capsys):
    path = tmp_path / "codec.json"

    answer = run(str(path), rounds=1)

    assert json.loads(path.read_text(encoding="utf-8")) == answer
    assert set(answer["dialects"]) == set(DIALECTS)
    assert set(answer["answers"]) == set(DIALECTS)
    assert all(figures["ratio"] > 1.5 for figures in answer["answers"].values())
    for figures in answer["dialects"].values():
        assert set(figures) == {"decode_ratio", "encode_ratio", "decode_us", "encode_us"}
        # Far below what is measured: one round on a busy machine proves a direction, no more.
        assert figures["decode_ratio"] > 2
        assert figures["encode_ratio"] > 2
    table = capsys.readouterr().out
    assert all(name in table for name in DIALECTS)
