"""How fast messages are read and written, beside pyiso8583 in the same run.

Both codecs take turns, round by round, so that a noisy machine is noisy for both. The
message is the 24-field 0100 of a chip purchase, without looking inside its composites, which
pyiso8583 cannot. Before any timing the two must agree on
every field and every byte; ours checks every character, pyiso8583 does not.
"""

import json
import subprocess
import timeit
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

from authz.wire.networks import NETWORKS
from authz.wire.to_response import Reply, to_response
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.field_writer import write_text
from iso8583.message import Value
from iso8583.mti import response_to
from iso8583.spec import BCD, XN, B, Dialect
from rules.reason import Reason

HERE = Path(__file__).resolve().parent
PEER_PYTHON = HERE.parent / ".venv-peers" / "bin" / "python"
DIALECTS = (
    "iso87_ascii", "iso87_ascii_binary_bitmap", "iso87_binary", "iso93_ascii",
    "visa", "mastercard", "postilion",
)  # fmt: skip
# Calls per round and direction: some 50 ms each for both, so that a noisy moment hits both.
OUR_CALLS = 10_000
PEER_CALLS = 1_000

MTI = "0100"
CHIP_DATA = bytes(range(105, 256))  # 151 bytes, as 21 tags have
FIELDS: dict[int, Value] = {
    2: "4000001234567899",
    3: "000000",
    4: "000000012550",
    6: "000000012550",
    7: "0314092653",
    10: "61000000",
    11: "271828",
    12: "102653",
    13: "0314",
    14: "3012",
    18: "5411",
    19: "840",
    22: "051",
    25: "00",
    32: "40000012345",
    35: "4000001234567899D30122011234500001",
    37: "607310271828",
    41: "TERM0042",
    42: "MERCHANT0000042",
    43: "CORNER GROCERY         SPRINGFIELD    US",
    48: "TCC R, recurring no, cardholder present",
    49: "840",
    51: "840",
    55: CHIP_DATA,
}
# The same purchase in 1993's words, in as many fields.
MOVED = {18: "", 13: "", 12: "260314102653", 22: "510101511344", 24: "100", 25: "1510", 26: "5411"}
FIELDS_1993 = {number: value for number, value in sorted((FIELDS | MOVED).items()) if value}
assert len(FIELDS_1993) == len(FIELDS)


def message_in(dialect: Dialect) -> tuple[str, dict[int, Value]]:
    """The purchase as this dialect has it: its size of entry mode, private fields as bytes."""
    if dialect.version == "1":
        return "1100", FIELDS_1993
    fields = dict(FIELDS)
    fields[22] = "051".ljust(dialect.fields[22].maximum, "0")
    if dialect.fields[48].characters is B:
        fields[48] = b"TCC R, recurring no, cardholder present"
    return MTI, fields


class Peer:
    """A library of others behind a pipe; pyiso8583 unless another one is named."""

    def __init__(self, worker: str = "pyiso8583_worker.py") -> None:
        self.worker = HERE / "peers" / worker

    def __enter__(self) -> Self:
        if not PEER_PYTHON.exists():
            raise SystemExit("pyiso8583 is not installed beside us: make peers")
        # -I: the peer must find its own `iso8583`, not the one in the working directory.
        self.process = subprocess.Popen(
            [PEER_PYTHON, "-I", self.worker],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,  # Ctrl-C is for us: it ends when we do
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()

    def ask(self, **request: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def as_peer_has_it(mti: str, fields: dict[int, Value], dialect: Dialect) -> dict[str, str]:
    """Our fields as pyiso8583 names and spells them, bitmaps left out."""
    spelled = {"t": mti}
    for number, value in fields.items():
        field = dialect.fields[number]
        if isinstance(value, bytes):
            assert field.characters is B
            spelled[str(number)] = value.hex().upper()
        elif field.characters is XN and field.coding is BCD:
            sign = write_text(value[:1], field.sign)
            spelled[str(number)] = sign.hex().upper() + value[1:]
        else:
            spelled[str(number)] = value
    return spelled


def run(json_path: str | None, rounds: int = 11) -> dict[str, Any]:
    """Measure, print a table, and return `{"dialects": {name: …}, "answers": {name: …}}`.

    Of an answer, ours is `to_response` and `encode` from the decoded request; theirs writes the
    same fields anew, without asking where they come from.

    Ratios and times are of the fastest round of each side, which the rest of the machine
    disturbed least; the table has the medians too. About ten seconds at eleven rounds.

    Units: microseconds per message.
    """
    results: dict[str, dict[str, float]] = {}
    answers: dict[str, dict[str, float]] = {}
    print(f"{'µs per message, min (median)':<46}{'pyiso8583':>18}{'authz':>18}{'ratio':>16}")
    with Peer() as peer:
        for name in DIALECTS:
            ours, theirs = measure(peer, name, rounds)
            result = results[name] = {}
            for direction in ("decode", "encode"):
                us, them = ours[direction], theirs[direction]
                result[f"{direction}_ratio"] = min(them) / min(us)
                result[f"{direction}_us"] = min(us)
                print(row(f"{name} {direction}", us, them))
        for name in DIALECTS:
            us, them = measure_answer(peer, name, rounds)
            answers[name] = {"ratio": min(them) / min(us), "us": min(us)}
            print(row(f"{name} 0110 of its request", us, them))
    answer = {"dialects": results, "answers": answers}
    if json_path == "-":
        print(json.dumps(answer, indent=2))
    elif json_path is not None:
        Path(json_path).write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")
    return answer


def row(what: str, us: list[float], them: list[float]) -> str:
    return (
        f"{what:<46}"
        f"{f'{min(them):.2f} ({median(them):.2f})':>18}"
        f"{f'{min(us):.2f} ({median(us):.2f})':>18}"
        f"{f'{min(them) / min(us):.1f} ({median(them) / median(us):.1f})':>16}"
    )


def measure(
    peer: Peer, name: str, rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Microseconds per call of ours and of the peer's, by direction, a list over the rounds."""
    dialect = BY_NAME[name]
    mti, fields = message_in(dialect)
    raw = encode(mti, fields, dialect)
    spelled = as_peer_has_it(mti, fields, dialect)
    [their_raw] = peer.ask(do="encode", dialect=name, messages=[spelled])
    assert their_raw == raw.hex(), "the two codecs write different bytes"
    [their_fields] = peer.ask(do="decode", dialect=name, messages=[raw.hex()])
    assert {key: value for key, value in their_fields.items() if key not in ("p", "1")} == spelled
    assert decode(raw, dialect).to_dict() == fields

    def one_decode() -> object:
        return decode(raw, dialect)

    def one_encode() -> object:
        return encode(mti, fields, dialect)

    ours: dict[str, list[float]] = {"decode": [], "encode": []}
    theirs: dict[str, list[float]] = {"decode": [], "encode": []}
    for round_number in range(rounds + 1):
        answer = peer.ask(do="time", dialect=name, raw=raw.hex(), fields=spelled, calls=PEER_CALLS)
        for direction, call in (("decode", one_decode), ("encode", one_encode)):
            seconds = timeit.timeit(call, number=OUR_CALLS) / OUR_CALLS
            if round_number > 0:  # the first warms both up: plans, caches, clock speed
                ours[direction].append(seconds * 1e6)
                theirs[direction].append(answer[direction] * 1e6)
    return ours, theirs


APPROVAL = Reply(Reason.APPROVED, "A1B2C3")


def measure_answer(peer: Peer, name: str, rounds: int) -> tuple[list[float], list[float]]:
    """Microseconds for a 0110 from its request, ours and the peer's, a list over the rounds."""
    dialect = BY_NAME[name]
    own_network = "iso93" if dialect.version == "1" else "generic"
    network = NETWORKS.get(name, NETWORKS[own_network])
    mti, asked = message_in(dialect)
    if 48 in dialect.insides:
        asked = asked | {48: "R6105100009203123".encode("cp037")}
    request = decode(encode(mti, asked, dialect), dialect)
    mti = response_to(mti)
    told = dict(sorted(to_response(request, APPROVAL, network).items()))
    spelled = as_peer_has_it(mti, told, dialect)
    raw = encode(mti, told, dialect)
    [their_raw] = peer.ask(do="encode", dialect=name, messages=[spelled])
    assert their_raw == raw.hex(), "the two codecs write different bytes"

    def one_answer() -> object:
        return encode(mti, to_response(request, APPROVAL, network), dialect)

    assert one_answer() == raw
    ours, theirs = [], []
    for round_number in range(rounds + 1):
        answer = peer.ask(do="time", dialect=name, raw=raw.hex(), fields=spelled, calls=PEER_CALLS)
        seconds = timeit.timeit(one_answer, number=OUR_CALLS) / OUR_CALLS
        if round_number > 0:
            ours.append(seconds * 1e6)
            theirs.append(answer["encode"] * 1e6)
    return ours, theirs
