"""What fell due when: a message at a second's very end is that second's."""

from array import array

from bench.drive import Timed
from bench.load_figures import by_second


def test_the_last_message_has_no_second_of_its_own():
    dues = [0.0, 0.5, 1.0, 1.001, 2.0]
    report = Timed(begun=10.0, offered=5, dues=array("d", [10.0 + due for due in dues]))
    report.latencies_s = array("d", [0.001, 0.002, 0.003, 0.004, 0.008])
    assert by_second(report) == [(0, 3, 2.0, 3.0), (1, 2, 6.0, 8.0)]
