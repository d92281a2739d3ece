"""A link signs on, matches answers in any order, and comes back after a cut to ask again."""

import asyncio

import pytest

from authz.clock import SystemClock
from authz.simulator.link import ECHO, Link, Manners, transmission_time
from iso8583.codec import encode
from tests.authz.simulator.scripted import DIALECT, FRAMING, answer, engine, firsts, until

CLOCK = SystemClock()


def approve(connection, requests):
    connection.write(*map(answer, requests))


def stay_silent(connection, requests):
    pass


def send(link, events):
    now = CLOCK.monotonic()
    for event in events:
        link.send(event, now, now, transmission_time(CLOCK.now_ms()))
    link.flush()


async def opened(port, **manners):
    link = Link("127.0.0.1", port, CLOCK, Manners(**manners))
    await link.open()
    return link


def test_a_link_signs_on_echoes_and_signs_off():
    async def story():
        async with engine(approve) as peer:
            link = await opened(peer.port)
            assert await link.manage(ECHO) == "00"
            await link.close()
            assert [message[70] for message in peer.heard] == ["001", "301", "002"]
            assert not link.ready
            assert link.report.cuts == 0

    asyncio.run(story())


def test_a_refused_sign_on_is_tried_again():
    async def story():
        async with engine(approve) as peer:
            peer.management_code = "91"
            link = Link("127.0.0.1", peer.port, CLOCK, Manners(reconnect_min_s=0.01))
            opening = asyncio.create_task(link.open())
            await until(lambda: len(peer.connections) >= 3)
            assert not link.ready
            peer.management_code = "00"
            await opening
            assert link.ready
            await link.close()

    asyncio.run(story())


def test_nobody_there_is_an_error_after_a_while():
    async def story():
        async with engine(approve) as peer:
            port = peer.port
        link = Link("127.0.0.1", port, CLOCK)
        with pytest.raises(TimeoutError):
            await link.open(timeout_s=0.1)

    asyncio.run(story())


def test_an_echo_of_the_engine_is_answered():
    async def story():
        async with engine(approve) as peer:
            link = await opened(peer.port)
            elements = {7: "0314171500", 11: "000777", 70: "301"}
            peer.connections[0].write(FRAMING.pack(encode("0800", elements, DIALECT)))
            await until(lambda: peer.heard[-1].mti == "0810")
            assert peer.heard[-1].to_dict() == elements | {39: "00"}
            peer.connections[0].write(FRAMING.keep_alive)
            await until(lambda: peer.keep_alives == 1)
            assert await link.manage(ECHO) == "00"
            await link.close()

    asyncio.run(story())


def test_answers_are_matched_in_any_order_and_in_any_pieces():
    async def story():
        held = []

        def backwards(connection, requests):
            held.extend(requests)
            if len(held) == 30:
                for byte in b"".join(answer(m, approval=m[11]) for m in reversed(held)):
                    connection.write(bytes([byte]))

        async with engine(backwards) as peer:
            link = await opened(peer.port)
            send(link, firsts(30))
            assert link.in_flight == 30
            await until(lambda: link.report.answered == 30)
            assert link.in_flight == link.report.unmatched == 0
            approvals = link.report.approvals
            assert len(approvals) == 30
            assert all(key.split()[2] == code for key, code in approvals.items())
            await link.close()

    asyncio.run(story())


def test_the_same_message_twice_gets_two_answers():
    async def story():
        async with engine(approve) as peer:
            link = await opened(peer.port)
            (event,) = firsts(1)
            send(link, [event, event, event])
            await until(lambda: link.report.answered == 3)
            assert link.report.unmatched == link.report.conflicts == link.in_flight == 0
            assert len(link.report.approvals) == 1
            await link.close()

    asyncio.run(story())


def test_silence_is_asked_again_as_a_repeat_and_then_given_up():
    async def story():
        async with engine(stay_silent) as peer:
            link = await opened(peer.port, answer_timeout_s=0.02, repeats_max=2)
            send(link, firsts(1))
            await until(lambda: link.tick(CLOCK.monotonic()) or link.report.unanswered == 1)
            assert [message.mti for message in peer.requests] == ["0100", "0101", "0101"]
            assert len({(m[7], m[11], m[32], m[2], m[4]) for m in peer.requests}) == 1
            assert (link.report.sent, link.report.resent) == (1, 2)
            peer.connections[0].write(answer(peer.requests[0]))
            await until(lambda: link.report.late_answers == 1)
            assert link.report.answered == 0
            assert len(link.report.approvals) == 1  # late, but we were told
            await link.close()

    asyncio.run(story())


def test_both_answers_to_a_repeat_are_taken_and_compared():
    async def story():
        seen = []

        def at_the_repeat(connection, requests):
            seen.extend(requests)
            if len(seen) == 2:
                connection.write(answer(seen[0]), answer(seen[1], "51"))

        async with engine(at_the_repeat) as peer:
            link = await opened(peer.port, answer_timeout_s=0.02)
            send(link, firsts(1))
            await until(lambda: link.tick(CLOCK.monotonic()) or link.report.extra_answers == 1)
            assert link.report.conflicts == 1
            assert "00ABC123, then 51" in link.report.conflicting[0]
            assert (link.report.answered, link.report.unmatched) == (1, 0)
            await link.close()

    asyncio.run(story())


def test_after_a_cut_in_the_middle_of_an_answer_everything_open_is_asked_again():
    async def story():
        def cut_once(connection, requests):
            if len(peer.connections) == 1:
                connection.write(answer(requests[0]), answer(requests[1])[:-7])
                connection.transport.close()
            else:
                approve(connection, requests)

        async with engine(cut_once) as peer:
            link = await opened(peer.port, reconnect_min_s=0.01)
            send(link, firsts(10))
            await until(lambda: link.report.answered == 10)
            assert (link.report.cuts, link.report.resent) == (1, 9)
            assert link.report.unreadable == link.report.conflicts == link.in_flight == 0
            assert [message.mti for message in peer.requests] == ["0100"] * 10 + ["0101"] * 9
            assert [message[70] for message in peer.heard] == ["001", "001"]
            await link.close()

    asyncio.run(story())


def test_a_network_may_also_forget_what_was_open_at_a_cut():
    async def story():
        def cut(connection, requests):
            connection.transport.close()

        async with engine(cut) as peer:
            link = await opened(peer.port, reconnect_min_s=0.01, repeat_after_cut=False)
            send(link, firsts(5))
            await until(lambda: link.report.unanswered == 5)
            assert (link.report.resent, len(peer.requests)) == (0, 5)
            await link.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("garbage", "cuts"),
    [
        (FRAMING.pack(b"no message at all"), 0),  # the stream is still in step
        (b"\xff\xff" + b"0" * 5000, 1),  # an over-long frame: nothing after it can be trusted
    ],
    ids=["no message", "over-long"],
)
def test_what_is_no_message_is_counted(garbage, cuts):
    async def story():
        async with engine(lambda connection, requests: connection.write(garbage)) as peer:
            link = await opened(peer.port, repeat_after_cut=False)
            send(link, firsts(1))
            await until(lambda: link.report.unreadable == 1 and link.report.cuts == cuts)
            await link.close()

    asyncio.run(story())


def test_an_answer_to_nothing_is_counted_and_harms_nothing():
    async def story():
        def nonsense(connection, requests):
            message = requests[0]
            other = message.to_dict() | {11: "999999"}
            connection.write(answer(type(message).of("0100", other)), answer(message))

        async with engine(nonsense) as peer:
            link = await opened(peer.port)
            send(link, firsts(1))
            await until(lambda: link.report.answered == 1)
            assert link.report.unmatched == 1
            assert len(link.report.approvals) == 1
            await link.close()

    asyncio.run(story())


def test_a_full_link_takes_no_more():
    async def story():
        async with engine(stay_silent) as peer:
            link = await opened(peer.port, in_flight_max=3)
            send(link, firsts(3))
            assert not link.usable
            await link.close()

    asyncio.run(story())
