"""The card network of a load: what it sends, what it hears, and what it makes of an odd engine."""

import asyncio
from array import array
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.simulator.link import manners_in
from authz.simulator.merchants import make_merchants
from authz.simulator.messages import stamp
from authz.simulator.population import make_population
from authz.simulator.traffic import Traffic
from authz.wire.networks import NETWORKS
from authz.wire.to_response import Reply, to_response
from authz.wire.written import write
from bench.drive import NotCarriedOut, drive, lag_at, plan_of, report_of, steady
from bench.generator import Line, Noted
from bench.load import Order, Ramp
from bench.mix import Following, Mix
from bench.shapes import Shapes, read_in_full, told_by
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from iso8583.mti import response_to
from rules.reason import Reason

DIALECT, FRAMING = BY_NAME["iso87_ascii"], FRAMINGS["binary2"]
PEOPLE, MERCHANTS = make_population(1, 50), make_merchants(1)
MIX = Mix(60, 20, 10, 5, 5)


def events(count, mix=MIX):
    return list(islice(Traffic(PEOPLE, MERCHANTS, 1, following=lambda: Following(mix)), count))


class Engine:
    """Answers as it is told to, by the number of the message, 0100s and others together."""

    def __init__(self, answer=lambda number, message: Reason.APPROVED, dialect=DIALECT):
        self.heard, self._answer, self._dialect = [], answer, dialect

    async def serve(self, reader, writer):
        frames = FRAMING.reader()
        while data := await reader.read(65_536):
            for frame in frames.feed(data):
                message = decode(frame.body, self._dialect)
                reason = Reason.APPROVED
                if message.mti[1] != "8":
                    self.heard.append(message)
                    reason = self._answer(len(self.heard), message)
                if reason is None:
                    continue
                if reason is Engine:
                    writer.close()
                    return
                fields = to_response(message, Reply(reason))
                writer.write(FRAMING.pack(encode(response_to(message.mti), fields, self._dialect)))
        writer.close()


def run_against(engine, sent, rate=2000.0, links=2, **changes):
    async def both():
        server = await asyncio.start_server(engine.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            return await drive(sent, "127.0.0.1", port, rate, links, **changes)

    return asyncio.run(both())


def test_every_message_leaves_once_and_every_answer_is_told_apart():
    sent = events(1000)
    declines = {n for n in range(1000) if n % 7 == 3}
    first_verdict = {}

    def answer(number, message):
        key = message[7], message[11], message[32]
        return first_verdict.setdefault(
            key, Reason.FUNDS_INSUFFICIENT if number in declines else Reason.APPROVED
        )

    engine = Engine(answer)
    report = run_against(engine, sent)

    assert report.offered == report.sent == report.answered == len(engine.heard) == 1000
    assert report.unmatched == report.misread == report.conflicts == report.unreadable == 0
    assert 0 < report.decoded < 100
    assert sum(tally.total() for tally in report.by_share.values()) == 1000
    declined = sum(tally["declined"] for tally in report.by_share.values())
    assert declined == sum(code == "51" for (_, code), n in report.codes.items() for _ in range(n))
    assert declined > 100
    advised = ("reversals", "advices", "completions")
    assert report.not_accepted == sum(report.by_share[name]["declined"] for name in advised) > 0


def test_a_repeat_that_gets_another_answer_is_a_conflict():
    sent = events(300)
    engine = Engine(lambda number, message: REASONS[number % 2])
    report = run_against(engine, sent)
    assert report.conflicts > 10
    assert report.unanswered == 0


REASONS = (Reason.APPROVED, Reason.FUNDS_INSUFFICIENT)


def test_what_did_not_leave_and_what_was_not_answered_is_told():
    sent = events(60, Mix(100, 0, 0, 0, 0))
    plan, messages = plan_of(
        sent, steady(60, 2000.0), manners_in("iso87_ascii"), "iso87_ascii", "127.0.0.1", 0, 1
    )
    left = array("d", [5.0 + n / 2000 for n in range(60)])
    left[7] = 0.0
    heard = array("d", [at + 0.01 for at in left])
    heard[7] = heard[9] = 0.0
    noted = Noted(
        begun=5.0, sending_s=0.03, elapsed_s=0.04, cpu_s=0.0, sent=left.tobytes(),
        heard=heard.tobytes(), said=b"A1B2C300 " * 60, lags=[0, 3, 1], lag_max_s=0.0, decoded=1,
        misread=0, unmatched=0, unreadable=0, cuts=0, memory_mb=1.0,
    )  # fmt: skip
    report = report_of(messages, steady(60, 2000.0), noted, "generic")
    assert (report.unsent, report.unanswered, report.answered) == (1, 1, 58)
    tally = report.by_share["authorizations"]
    assert tally == {"unsent": 1, "unanswered": 1, "approved": 58}
    assert set(report.answers.values()) == {"00A1B2C3"}
    assert len(plan.frames) == len(plan.keys) == 60
    assert lag_at(noted.lags, 0.5) == 0.2
    assert lag_at(noted.lags, 1.0) == 0.3
    assert lag_at([0, 0], 0.99) == 0.0


def test_a_link_that_the_engine_closes_is_a_cut_and_the_others_go_on():
    sent = events(200, Mix(100, 0, 0, 0, 0))
    engine = Engine(lambda number, message: Engine if number == 50 else Reason.APPROVED)
    report = run_against(engine, sent)
    assert report.cuts == 1
    assert report.unanswered >= 1
    assert report.answered > 100
    assert report.answered + report.unanswered + report.unsent == 200


def test_an_engine_that_lets_nobody_in_is_said(capfd):
    class Closed:
        async def serve(self, reader, writer):
            writer.close()

    with pytest.raises(NotCarriedOut, match="could not sign on"):
        run_against(Closed(), events(5))
    assert "Traceback" not in capfd.readouterr().err


def test_a_generator_that_does_not_end_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("bench.drive.OVERTIME_S", -1.0)
    with pytest.raises(NotCarriedOut, match="did not end in its time"):
        run_against(Engine(), events(50), rate=100.0)


@pytest.mark.parametrize("dialect", ["iso87_binary", "iso93_ascii"])
def test_other_dialects_are_read_as_well(dialect):
    sent = events(100, Mix(80, 10, 10, 0, 0))
    engine = Engine(dialect=BY_NAME[dialect])

    async def serve(reader, writer):
        """With the codes of its own network."""
        network = manners_in(dialect).network
        frames = FRAMING.reader()
        while data := await reader.read(65_536):
            for frame in frames.feed(data):
                message = decode(frame.body, BY_NAME[dialect])
                said = write(message, Reply(Reason.APPROVED), NETWORKS[network], BY_NAME[dialect])
                writer.write(FRAMING.pack(said.body))
        writer.close()

    engine.serve = serve
    report = run_against(engine, sent, dialect=dialect)
    assert report.answered == 100
    assert {code for _, code in report.codes} == {"00"}
    assert report.misread == report.not_accepted == 0


# -- how an answer is read without decoding it ----------------------------------


def answers(reasons):
    for event, reason in zip(events(len(reasons)), reasons):
        message = decode(encode(event.mti, stamp(event, "1121000000"), DIALECT), DIALECT)
        yield encode(response_to(event.mti), to_response(message, Reply(reason)), DIALECT)


@given(st.lists(st.sampled_from(list(Reason)), min_size=1, max_size=60))
def test_an_answer_read_by_its_shape_says_what_its_decoding_says(reasons):
    shapes, by_shape = Shapes(DIALECT), 0
    for body in answers(reasons * 3):
        truth, message = read_in_full(body, DIALECT)
        told = shapes.read(body)
        assert told in (None, truth)
        by_shape += told is not None
        if told is None:
            shapes.learn(body, message)
    assert by_shape >= len(reasons)


@given(st.binary(max_size=300))
def test_no_bytes_upset_it(raw):
    shapes = Shapes(DIALECT)
    for body in answers([Reason.APPROVED] * 5):
        shapes.learn(body, decode(body, DIALECT))
    told = shapes.read(raw)
    found = read_in_full(raw, DIALECT)
    assert told is None or found is None or told == found[0]


def test_what_has_no_fixed_places_is_decoded_each_time():
    dialect = BY_NAME["iso87_binary"]  # digits are packed
    body = encode("0110", {2: "9999010000000005", 11: "000001", 32: "99990001", 39: "00"}, dialect)
    shapes = Shapes(dialect)
    shapes.learn(body, decode(body, dialect))
    assert shapes.read(body) is None
    assert told_by(decode(body, dialect)) == (b"00000199990001", b"      00")


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.integers(1, 97))
def test_a_plain_stream_is_cut_as_the_reader_cuts_it(bodies, step):
    line = Line.__new__(Line)
    line.rest, line.framing, line.backlog = b"", FRAMING, bytearray(b".")  # as if the kernel waited
    stream = b"".join(map(FRAMING.pack, bodies)) + FRAMING.keep_alive
    found = []
    for at in range(0, len(stream), step):
        found += line.plain_bodies(stream[at : at + step])
    assert found == bodies
    assert line.rest == b""
    assert line.backlog == b"." + FRAMING.keep_alive


# -- when messages are due -------------------------------------------------------


@given(
    st.floats(1, 20_000), st.floats(1, 20_000), st.floats(1, 20), st.sampled_from([0.0, 0.3, 2.0])
)
def test_a_ramp_goes_from_one_rate_to_the_other(start, end, seconds, warm_up_s):
    share = 3000 / max(3000, (start + end) * seconds)  # a test need not make a million
    start, end = max(1, start * share), max(1, end * share)
    order = Order(
        rate=(start + end) / 2, seconds=seconds, warm_up_s=warm_up_s, ramp=Ramp(start, end)
    )
    dues = order.dues()
    assert all(one <= other for one, other in pairwise(dues))
    assert len(dues) == round(start * warm_up_s) + round((start + end) / 2 * seconds)
    assert all(0 <= due <= warm_up_s + seconds + 0.002 for due in dues)
    half = warm_up_s + seconds / 2
    by_then = round(start * warm_up_s) + (3 * start + end) / 8 * seconds
    assert sum(due <= half for due in dues) == pytest.approx(by_then, abs=2 + (start + end) / 500)


@given(st.floats(1, 50_000))
def test_a_steady_rate_is_kept_and_messages_leave_on_the_beat(rate):
    dues = steady(300, rate)
    for number, due in enumerate(dues):
        assert -1e-8 < due - number / rate < 0.00101
        assert due * 1000 == pytest.approx(round(due * 1000))
