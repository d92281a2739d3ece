"""The network sends on time whatever the engine does, and its report adds up."""

import asyncio

import pytest

from authz.clock import SystemClock
from authz.simulator.network import Link, Manners, run
from tests.authz.simulator.scripted import answer, engine, firsts, some_events

CLOCK = SystemClock()


def approve(connection, requests):
    connection.write(*(answer(message, approval=message[11]) for message in requests))


async def play(script, events, rate, seconds, links=2, manners=None, **options):
    async with engine(script) as peer:
        open_links = [Link("127.0.0.1", peer.port, CLOCK, manners) for _ in range(links)]
        for link in open_links:
            await link.open()
        report = await run(events, open_links, rate, seconds, CLOCK, **options)
        for link in open_links:
            await link.close()
    return report, peer


def test_everything_offered_is_sent_and_answered_at_the_rate():
    async def story():
        report, peer = await play(approve, some_events(500), 1000, 0.5)
        assert report.offered == report.sent == report.answered == len(peer.requests) == 500
        assert report.unanswered == report.unmatched == report.conflicts == report.unsent == 0
        assert 0.4 < report.sending_s < 2
        assert len(report.latencies_s) == 500
        assert all(len(peer_link.engine.requests) for peer_link in peer.connections)

    asyncio.run(story())


def test_the_summary_has_the_names_that_scripts_rely_on():
    async def story():
        report, _ = await play(approve, some_events(200), 1000, 0.2)
        summary = report.summary()
        assert {
            "offered_per_s", "achieved_per_s", "sent", "answered", "unanswered", "over_budget",
            "p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms", "approved", "declined", "referred",
        } <= summary.keys()  # fmt: skip
        assert 0 < summary["p50_ms"] <= summary["p99_ms"] <= summary["max_ms"]
        asked = sum(count for (mti, _), count in report.codes.items() if mti[1] == "1")
        assert summary["approved"] == asked
        assert report.sample_request.startswith(b"0100")
        assert report.sample_response.startswith(b"0110")

    asyncio.run(story())


def test_every_acknowledged_approval_is_kept_by_its_key():
    async def story():
        report, peer = await play(approve, firsts(100), 1000, 0.1)
        expected = {f"0100 {m[7]} {m[11]} {m[32]}": m[11] for m in peer.requests}
        assert report.approvals == expected

    asyncio.run(story())


def test_a_stall_of_the_engine_shows_in_every_message_that_fell_due_meanwhile():
    async def story():
        held = []

        def stall(connection, requests):
            if not held:
                loop = asyncio.get_running_loop()
                loop.call_later(0.3, lambda: [c.write(answer(m)) for c, m in held])
            held.extend((connection, message) for message in requests)
            if len(held) > 200:
                approve(connection, requests)

        report, _ = await play(stall, firsts(200), 1000, 0.2, budget_s=0.15)
        assert report.answered == 200
        assert report.over_budget > 100  # the first 150 waited longer than 150 ms

    asyncio.run(story())


def test_what_finds_no_link_is_counted_as_unsent():
    async def story():
        def silence(connection, requests):
            pass

        manners = Manners(in_flight_max=5, answer_timeout_s=60)
        report, _ = await play(silence, firsts(50), 1000, 0.05, manners=manners, grace_s=0.05)
        assert (report.offered, report.sent, report.unsent) == (50, 10, 40)
        assert (report.answered, report.unanswered) == (0, 10)

    asyncio.run(story())


def test_lost_answers_are_asked_for_again():
    async def story():
        lost = set()

        def lose_every_third(connection, requests):
            for message in requests:
                identity = message[11], message[32]
                if message.mti == "0100" and int(message[11]) % 3 == 0 and identity not in lost:
                    lost.add(identity)
                else:
                    connection.write(answer(message, approval=message[11]))

        manners = Manners(answer_timeout_s=0.1)
        report, _ = await play(lose_every_third, firsts(150), 1000, 0.15, manners=manners)
        assert report.answered == 150
        assert report.resent == len(lost) > 30
        assert report.conflicts == report.unanswered == 0

    asyncio.run(story())


def test_links_that_are_cut_again_and_again_lose_nothing():
    async def story():
        calls = iter(range(1_000_000))

        def cut_now_and_then(connection, requests):
            approve(connection, requests[:-1])
            if next(calls) % 12 == 11:
                connection.write(answer(requests[-1])[:20])
                connection.transport.close()
            else:
                approve(connection, requests[-1:])

        manners = Manners(reconnect_min_s=0.005, reconnect_max_s=0.02, repeats_max=50)
        report, _ = await play(cut_now_and_then, some_events(600), 1500, 0.4, manners=manners)
        assert report.cuts > 3
        assert report.answered == report.sent
        assert report.unanswered == report.conflicts == report.unreadable == 0

    asyncio.run(story())


def test_a_run_ends_with_its_events_or_when_told():
    async def story():
        report, _ = await play(approve, firsts(20), 1000, 60)
        assert report.answered == 20
        report, _ = await play(approve, firsts(20), 1000, 60, stop=lambda: True)
        assert report.offered == 0

    asyncio.run(story())


def test_a_rate_of_nothing_is_a_mistake():
    with pytest.raises(AssertionError):
        asyncio.run(run([], [], 0, 1, CLOCK))
