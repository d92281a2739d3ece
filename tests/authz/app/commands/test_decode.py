"""`authz decode` on everything that people have of a message; never a card number in clear."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from authz.app.cli import main
from authz.dialects import find_dialect
from iso8583.codec import encode
from iso8583.dialects import BY_NAME
from tests.support.iso import fits

PAN = "4539578763621486"
FIELDS = {
    2: PAN, 3: "000000", 4: "000000005000", 7: "1114120000", 11: "000042", 14: "2712", 18: "5411",
    35: f"{PAN}=27121010000012345", 37: "000000000001", 41: "TERM0001", 42: "MERCHANT0000001",
    49: "840",
}  # fmt: skip
ECHO = {7: "1114120000", 11: "000001", 70: "301"}


def decode(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, ["decode", *arguments], input=stdin)


def raw(dialect: str) -> bytes:
    """A purchase, with the fields that every dialect writes alike."""
    kind = BY_NAME[dialect]
    fields = {number: FIELDS[number] for number in FIELDS if fits(number, FIELDS[number], kind)}
    return encode(f"{kind.version}100", fields, kind)


# A purchase without private fields looks alike in these two; the plainer one is named.
UNMISTAKABLE = [name for name in BY_NAME if name != "postilion"]


def framed(dialect: str) -> bytes:
    body = raw(dialect)
    return len(body).to_bytes(2, "big") + body


def xxd(data: bytes) -> str:
    rows = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        words = " ".join(re.findall("....|..", row.hex()))
        rows.append(f"{at:08x}: {words:<39}  {printable(row)}")
    return "\n".join(rows)


def hexdump(data: bytes) -> str:
    rows = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        halves = f"{row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}"
        rows.append(f"{at:08x}  {halves}  |{printable(row)}|")
    return "\n".join([*rows, f"{len(data):08x}"])


def tcpdump(data: bytes) -> str:
    return "\n".join(f"\t0x{line[4:]}" for line in xxd(data).splitlines())


def od(data: bytes) -> str:
    rows = [f"{at:06x} {data[at : at + 16].hex(' ')}" for at in range(0, len(data), 16)]
    return "\n".join([*rows, f"{len(data):06x}"])


def printable(row: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)


def wrapped(data: bytes) -> str:
    return "\n".join(data.hex()[at : at + 60] for at in range(0, len(data.hex()), 60))


FORMS = [bytes.hex, lambda data: data.hex(" ").upper(), wrapped, xxd, hexdump, tcpdump, od]


@pytest.mark.parametrize("dialect", UNMISTAKABLE)
@pytest.mark.parametrize("form", FORMS, ids=["hex", "spaced", "wrapped", *"xht", "od"])
@pytest.mark.parametrize("make", [raw, framed])
def test_every_form_is_read_without_being_told(dialect, form, make) -> None:  # type: ignore[no-untyped-def]
    result = decode("-", stdin=form(make(dialect)).encode())

    framing = "none" if make is raw else "binary2"
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"dialect {dialect}, framing {framing}\n")
    assert re.search(r"2  pan +453957\*{6}1486\n", result.stdout)
    assert re.search(r"49  currency +840\n", result.stdout)


@pytest.mark.parametrize("dialect", BY_NAME)
def test_a_file_of_raw_bytes(dialect: str, tmp_path: Path) -> None:
    file = tmp_path / "message.bin"
    file.write_bytes(framed(dialect) * 3)

    result = decode(str(file))

    assert result.exit_code == 0
    assert result.stdout.count("authorization request") == 3


def test_an_ascii_message_that_looks_like_hexadecimal(tmp_path: Path) -> None:
    file = tmp_path / "echo.txt"
    file.write_bytes(encode("0800", ECHO, BY_NAME["iso87_ascii"]) + b"\n")

    assert decode(str(file)).stdout.startswith("dialect iso87_ascii, framing none\n")


def test_several_messages_one_on_each_line() -> None:
    lines = "\n".join(raw(dialect).hex() for dialect in ["iso87_binary"] * 3)

    assert decode("-", stdin=lines.encode()).stdout.count("authorization request") == 3


def test_one_bad_line_among_good_ones() -> None:
    good = raw("iso87_ascii").hex()

    result = decode("-", stdin=f"{good}\n{good[:120]}\n{good}\n".encode())

    assert result.exit_code == 1
    assert result.stdout.count("authorization request") == 3
    assert result.stdout.count("error: ") == 1


@pytest.mark.parametrize("dialect", UNMISTAKABLE)
def test_json_names_everything(dialect: str) -> None:
    document = json.loads(decode("--json", raw(dialect).hex()).stdout)

    assert document["ok"] is True
    assert (document["dialect"], document["framing"]) == (dialect, "none")
    (message,) = document["messages"]
    assert message["mti"] == f"{BY_NAME[dialect].version}100"
    assert message["meaning"] == "authorization request"
    assert message["fields"]["11"] == {"name": "stan", "value": "000042"}
    assert message["fields"]["2"]["value"] == "453957******1486"


def test_a_header_is_shown() -> None:
    body = bytes.fromhex("6000120034") + raw("iso87_binary")

    result = decode((len(body).to_bytes(2, "big") + body).hex())

    assert "framing binary2_tpdu" in result.stdout
    assert "header 60 00 12 00 34\n" in result.stdout


def test_an_error_has_its_place_and_what_came_before() -> None:
    data = raw("iso87_ascii").replace(b"5411", b"54A1")

    result = decode(data.hex())

    assert result.exit_code == 1
    assert "  11  stan               000042\n" in result.stdout
    assert "  18  mcc" not in result.stdout
    assert re.search(r"error: bad_character at field 18, byte \d+\n", result.stdout)
    entry = json.loads(decode("--json", data.hex()).stdout)["messages"][0]
    assert entry["error"]["problem"] == "bad_character"
    assert entry["error"]["field"] == 18
    assert entry["fields"]["11"]["value"] == "000042"


def test_half_a_frame_shows_what_is_there() -> None:
    result = decode(framed("iso87_binary")[:60].hex())

    assert result.exit_code == 1
    assert "  11  stan" in result.stdout
    assert "error: the input ends inside a frame\n" in result.stdout


@given(
    st.sampled_from(list(BY_NAME)), st.sampled_from(list(BY_NAME)),
    st.sampled_from(["auto", "none", "binary2", "ascii4", "binary2_tpdu"]),
    st.integers(0, 200), st.binary(max_size=3), st.booleans(),
)  # fmt: skip
def test_no_card_number_comes_out_however_wrong_the_guess(
    dialect: str, guess: str, framing: str, at: int, noise: bytes, as_json: bool
) -> None:
    data = raw(dialect)
    data = data[:at] + noise + data[at + len(noise) :]

    result = decode(data.hex(), "--dialect", guess, "--framing", framing, *["--json"] * as_json)

    assert result.exit_code in (0, 1)
    digits = re.sub(r"\D", "", result.output)
    assert PAN not in digits
    assert PAN[6:12] not in digits


@given(st.binary(min_size=1, max_size=120))
def test_any_bytes_end_in_an_answer(data: bytes) -> None:
    for stdin in (data, data.hex().encode(), xxd(data).encode()):
        assert decode("-", stdin=stdin).exit_code in (0, 1, 2)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (PAN + "x", "neither hexadecimal nor the name of a file"),
        ("", "The input is empty"),
        ("x" * 5000, "neither hexadecimal nor the name of a file"),
        (PAN + "12345", "an odd number of hexadecimal digits"),
    ],
    ids=["text", "empty", "long", "odd"],
)
def test_wrong_use_is_told_and_not_repeated(source: str, said: str) -> None:
    result = decode(source)

    assert result.exit_code == 2
    assert said in result.stderr
    assert PAN not in result.output


def test_comments_and_empty_lines_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "capture.hex"
    line = raw("visa").hex()
    file.write_text(f"# a purchase, 12:00\n{line}\n\n# and again\r\n{line}\r\n")
    result = decode(str(file), "--json")
    found = json.loads(result.stdout)
    assert (found["ok"], found["dialect"], len(found["messages"])) == (True, "visa", 2)
    assert "only lines with #" in decode("-", stdin=b"# nothing\n\n").stderr


def test_one_line_that_is_not_hexadecimal_is_named() -> None:
    line = raw("visa").hex().encode()
    result = decode("-", stdin=b"# a day\n" + line + b"\n" + line[:-1] + b"g\n" + line + b"\n")
    assert (result.exit_code, "Line 3 is not hexadecimal" in result.stderr) == (2, True)
    result = decode("-", stdin=b"# a day\n" + line[:-1] + b"\n")
    assert (result.exit_code, "an odd number" in result.stderr) == (2, True)


def test_too_much_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authz.app.commands.decode.INPUT_MAX", 10)

    assert decode("-", stdin=b"30" * 6).exit_code == 2


def test_the_example_of_the_help_works() -> None:
    text = decode("--help").stdout
    example = next(line for line in text.splitlines() if "authz decode 0800" in line)

    assert "network management request" in decode(*example.split()[2:]).stdout


@pytest.mark.parametrize(
    "words", [("9999991234567890",), ("9999", "9912", "3456", "7890"), ("9999-9912-3456-7890",)]
)
def test_a_card_number_is_no_message(words: tuple[str, ...]) -> None:
    result = decode(*words)
    assert (result.exit_code, "looks like a card number" in result.output) == (2, True)
    assert "3456" not in result.output


@pytest.mark.parametrize("prefix", ["", "file:"])
def test_a_dialect_of_ones_own(prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "north.toml"
    file.write_text(
        "name = 'North'\nbased_on = 'iso87_binary'\n[field.121]\nname = 'loyalty'\n"
        "length = 4\nsecret = false\n"
    )
    body = encode("0100", FIELDS | {121: "GOLD"}, find_dialect(f"file:{file}"))

    result = decode(body.hex(), "--dialect", f"{prefix}{file}")

    assert result.exit_code == 0, result.output
    assert re.search(r"121  loyalty +GOLD\n", result.stdout)
    assert re.search(r"2  pan +453957\*{6}1486\n", result.stdout)


def test_a_dialect_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "north.toml"
    file.write_text("name = 'North'\nbased_on = 'iso87_binary'\n[field.121]\nlength = 0\n")

    for name, said in (
        (str(file), "field 121, length"),
        ("iso88", "neither a file"),
    ):
        result = decode("0800", "--dialect", name)
        assert result.exit_code == 2
        assert said in " ".join(result.output.split())
