"""Each answer belongs to the message that waited longest under its key."""

from authz.simulator.in_flight import InFlight, Waiting
from authz.simulator.messages import Event

EVENT = Event(mti="0100", kind="purchase", elements={})


def waiting(asked=0.0):
    return Waiting(EVENT, asked, asked)


def test_an_answer_is_for_the_first_that_waits_under_its_key():
    table = InFlight()
    first, second, third = waiting(1), waiting(2), waiting(3)
    for each in (first, second, third):
        table.add("a", each)
    assert len(table) == 1
    assert [table.take("a") for _ in range(4)] == [first, second, third, None]
    assert len(table) == 0


def test_only_what_was_silent_for_long_is_taken():
    table = InFlight()
    for number in range(5):
        table.add(str(number), waiting(number))
    table.add("0", waiting(9))  # goes with its twin
    assert [key for key, _ in table.take_silent(2)] == ["0", "1", "2"]
    assert len(table) == 2


def test_twins_can_be_taken_apart_while_they_are_counted():
    first = waiting(1)
    first.twin = waiting(2)
    seen = []
    for each in first.all():
        each.twin = None
        seen.append(each.asked)
    assert seen == [1, 2]
