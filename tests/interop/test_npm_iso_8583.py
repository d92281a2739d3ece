"""The npm package iso_8583 as a card network that talks to an engine over TCP.

Another author's library, in another language: it packs what it says and reads what it hears.
It speaks Postilion: 1987 in ASCII, bitmaps as bytes, a message inside DE 127.
"""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import uvloop

from authz.dispatch import Dispatcher
from authz.server import Server
from authz.session import LinkSettings
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from tests.authz.test_dialer import Listening
from tests.support.engine import KEYS, World, held, purchase, reversal

HERE = Path(__file__).parent
MODULES = HERE.parents[1] / ".npm-peers"

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
    pytest.mark.skipif(
        not (MODULES / "node_modules" / "iso_8583").is_dir(),
        reason="iso_8583 is installed by `make interop`, which needs npm and its registry",
    ),
]

SIGN_ON = {0: "0800", 7: "0322120000", 11: "000001", 70: "001"}


def talk(*messages: dict[Any, str], bad: tuple[str, ...] = ()) -> tuple[list[dict[str, Any]], int]:
    """What it heard, and what is held afterwards. `bad`: what the engine found fault with."""

    async def whole() -> tuple[list[dict[str, Any]], int]:
        world = await World().open_with(10_000)
        heard = Listening()
        server = Server(Dispatcher(world.engine, KEYS), world.clock, heard)
        settings = LinkSettings(
            name="npm", dialect=BY_NAME["postilion"], framing=FRAMINGS["binary2"],
            network="postilion",
        )  # fmt: skip
        port = await server.listen(settings, "127.0.0.1", 0)
        asked = {"port": port, "modules": str(MODULES), "messages": [SIGN_ON, *messages]}
        node = await asyncio.create_subprocess_exec(
            "node", HERE / "client.js",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            said, trouble = await asyncio.wait_for(node.communicate(json.dumps(asked).encode()), 30)
        finally:
            await server.close()
        assert node.returncode == 0, trouble.decode()
        assert heard.bad == list(bad)
        sign_on, *answers = json.loads(said)
        assert (sign_on["fields"]["0"], sign_on["fields"]["39"]) == ("0810", "00")
        return answers, held(world)

    return uvloop.run(whole())


def message(mti: str, fields: dict[int, str], **more: str) -> dict[Any, str]:
    """As the library takes it: the MTI is field 0, parts have their path."""
    parts = {name.replace("_", "."): value for name, value in more.items()}
    return {0: mti} | fields | {name.removeprefix("de"): value for name, value in parts.items()}


def test_a_purchase_its_repeat_and_its_decline() -> None:
    bought, too_much = purchase(1, 6000), purchase(2, 6000)
    (first, again, repeat, declined), holds = talk(
        message("0100", bought), message("0100", bought), message("0101", bought),
        message("0100", too_much),
    )  # fmt: skip
    assert first == again
    told = first["fields"]
    assert (told["0"], told["39"], len(told["38"])) == ("0110", "00", 6)
    echoed = (2, 3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49)
    assert all(told[str(number)] == bought[number] for number in echoed)
    assert (repeat["fields"]["39"], repeat["fields"]["38"]) == ("00", told["38"])
    assert declined["fields"]["39"] == "51"
    assert "38" not in declined["fields"]
    assert holds == 6000


def test_a_reversal_that_names_its_purchase_by_de_127_alone() -> None:
    bought = purchase(1, 6000)
    back = {n: v for n, v in reversal(bought).items() if n not in (37, 41, 42, 90)}
    (first, gone), holds = talk(
        message("0100", bought, de127_2="0000000042"),
        message("0420", back, de127_2="0000000043", de127_11="0000000042"),
    )
    assert (first["fields"]["39"], gone["fields"]["0"]) == ("00", "0430")
    assert (gone["fields"]["39"], holds) == ("00", 0)


def test_part_of_an_amount_and_what_is_left_are_read_from_de_54() -> None:
    asked = purchase(1, 12_000, de60="000000000100")
    (partly,), holds = talk(message("0100", asked))
    assert (partly["fields"]["39"], partly["fields"]["4"]) == ("10", f"{10_000:012}")
    assert partly["fields"]["54"] == "0057840C000000012000"
    assert holds == 10_000


def test_a_format_error_is_heard_and_the_link_stays() -> None:
    (refused, approved), _ = talk(
        message("0100", purchase(1, 100, de18="")), message("0100", purchase(2, 100)),
        bad=("bad_element",),
    )  # fmt: skip
    assert (refused["fields"]["39"], approved["fields"]["39"]) == ("30", "00")
