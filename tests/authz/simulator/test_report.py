"""The report counts verdicts by promise: a verdict once given stays, "ask again" does not."""

import pytest

from authz.simulator.report import CONFLICTS_KEPT, Report

KEY = "0100 0314171500 000042 999900001"


def heard(*verdicts):
    report = Report()
    report.record(KEY, "0100", verdicts[0][0], verdicts[0][1], due=1.0, now=1.01)
    for code, approval in verdicts[1:]:
        report.record_stray(KEY, code, approval)
    return report


@pytest.mark.parametrize(
    ("verdicts", "conflicts"),
    [
        ([("00", "AAA111"), ("00", "AAA111")], 0),
        ([("00", "AAA111"), ("00", "BBB222")], 1),  # the same yes, but another approval
        ([("00", "AAA111"), ("51", "")], 1),
        ([("51", ""), ("00", "AAA111")], 1),
        ([("91", ""), ("00", "AAA111")], 0),  # 91 was no verdict
        ([("91", ""), ("96", ""), ("51", "")], 0),
        ([("00", "AAA111"), ("91", "")], 0),  # says "ask again", not "no"
        ([("91", ""), ("00", "AAA111"), ("51", "")], 1),
    ],
)
def test_a_verdict_once_given_stays(verdicts, conflicts):
    report = heard(*verdicts)
    assert report.conflicts == len(report.conflicting) == conflicts
    assert report.extra_answers == len(verdicts) - 1


def test_approvals_are_those_of_authorizations():
    report = heard(("00", "AAA111"))
    report.record(KEY.replace("0100", "0400"), "0400", "00", "", 1.0, 1.1)
    report.record(KEY.replace("42 ", "43 "), "0100", "51", "", 1.0, 1.1)
    assert report.approvals == {KEY: "AAA111"}


def test_conflicts_are_all_counted_and_some_are_named():
    report = heard(("00", "AAA111"))
    for _ in range(CONFLICTS_KEPT + 50):
        report.record_stray(KEY, "05", "")
    assert report.conflicts == CONFLICTS_KEPT + 50
    assert len(report.conflicting) == CONFLICTS_KEPT


def test_quantiles_are_exact_and_the_budget_is_counted():
    report = Report()
    for number in range(1, 1001):
        report.record(f"{KEY} {number}", "0100", "00", "A", 0.0, number / 1000)
    assert report.latency_ms(0.5, 0.99, 0.999, 1.0) == [500.0, 990.0, 999.0, 1000.0]
    assert report.over_budget == 800


def test_an_empty_report_is_all_zeros():
    assert set(Report().summary().values()) == {0}


def test_the_report_does_not_print_its_sample():
    report = Report(sample_request=b"9999010000000005")
    assert "9999010000000005" not in repr(report) + str(report.__rich_repr__())
