"""The bench of decisions measures what it says: every rule asked, every limit met."""

import json

from bench.decide import COUNTS, LIMITS, PROMISED, policy_of, run
from rules.policy import read_policy


def test_policies_are_as_large_as_their_row_says():
    for count in COUNTS:
        policy = read_policy(policy_of(count))
        assert (len(policy.rule), len(policy.limit)) == (count, LIMITS)


def test_figures_have_the_keys_that_programs_read(tmp_path, capsys):
    file = tmp_path / "decide.json"

    run(str(file), calls=200)

    told = json.loads(file.read_text())
    assert set(told["by_rules"]) == {str(count) for count in COUNTS}
    for row in told["by_rules"].values():
        assert 0 < row["p50_us"] <= row["p99_us"]
    # Linear: a thousand rules cost less than the hundredfold of ten.
    assert told["by_rules"]["1000"]["p50_us"] < 100 * told["by_rules"]["10"]["p50_us"]
    printed = capsys.readouterr().out
    assert "ns a rule" in printed
    assert f"p50 of {PROMISED[0]} rules" in printed
