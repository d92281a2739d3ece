"""Links that we dial, to real sockets: signing on, coming back, never hammering."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
import uvloop

from authz.backoff import Backoff
from authz.dialer import STEADY_S, Dialer
from authz.dispatch import Dispatcher
from authz.server import Server
from authz.session import LinkSettings
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from tests.authz.test_server import Heard, Peer, until
from tests.support.engine import KEYS, World, held, purchase, reversal
from tests.support.iso93 import purchase_1993
from tests.support.switch import Switch

DIALECT, FRAMING = BY_NAME["iso87_ascii"], FRAMINGS["binary2"]
BINARY = {"dialect": BY_NAME["iso87_binary"], "framing": FRAMINGS["bcd2_tpdu"]}
OF_1993 = {"dialect": BY_NAME["iso93_ascii"], "framing": FRAMINGS["ascii4"], "network": "iso93"}

Story = Callable[[World, Server, "Listening"], Awaitable[None]]


class Listening(Heard):
    def __init__(self) -> None:
        super().__init__()
        self.dials: list[str] = []

    def dialled(self, link: str, outcome: str) -> None:
        self.dials.append(outcome)


def settings(**changes: Any) -> LinkSettings:
    base = {"name": "north", "dialect": DIALECT, "framing": FRAMING, "sign_on": True}
    return LinkSettings(**(base | changes))


def dial(server: Server, port: int, least_s: float = 0.01, **changes: Any) -> Dialer:
    backoff = Backoff(least_s, 0.1, Random(1))
    return server.dial(settings(**changes), ("127.0.0.1", port), backoff)


def play(story: Story) -> None:
    async def whole() -> None:
        world = await World().open_with(1_000_000)
        heard = Listening()
        server = Server(Dispatcher(world.engine, KEYS), world.clock, heard)
        try:
            await story(world, server, heard)
        finally:
            await server.close()

    uvloop.run(whole())


@pytest.mark.parametrize(
    ("speaks", "mti", "fields", "answer"),
    [
        ({}, "0100", purchase(1, 500), "00"),
        (BINARY, "0100", purchase(1, 500), "00"),
        (OF_1993, "1100", purchase_1993(1, 500), "000"),
    ],
    ids=["ascii", "binary", "1993"],
)
def test_a_link_that_we_dial_signs_on_and_is_like_any_other(
    speaks: dict[str, Any], mti: str, fields: dict[int, str], answer: str
) -> None:
    async def story(world: World, server: Server, heard: Listening) -> None:
        spoken = settings(**speaks)
        switch = await Switch(spoken.dialect, spoken.framing, spoken.network).open()
        dialer = dial(server, switch.port, **speaks)
        assert dialer.state == "down"
        await until(lambda: dialer.state == "open")
        assert (await switch.ask(mti, fields))[39] == answer
        assert held(world) == 500
        assert (heard.dials, heard.bad) == (["connected"], [])
        await switch.close()

    play(story)


def test_it_comes_back_when_the_peer_does() -> None:
    async def story(world: World, server: Server, heard: Listening) -> None:
        switch = await Switch(DIALECT, FRAMING).open()
        dialer = dial(server, switch.port)
        await until(lambda: dialer.state == "open")
        assert (await switch.ask("0100", purchase(1, 500)))[39] == "00"

        await switch.close()
        await until(lambda: dialer.state == "down" and heard.dials.count("failed") >= 2)
        await switch.open()

        await until(lambda: dialer.state == "open")
        assert (await switch.ask("0101", purchase(1, 500)))[39] == "00"
        assert (await switch.ask("0400", reversal(purchase(1, 500))))[39] == "00"
        assert held(world) == 0
        assert switch.calls == 2
        await switch.close()

    play(story)


def test_a_peer_that_is_not_there_yet_is_waited_for() -> None:
    async def story(world: World, server: Server, heard: Listening) -> None:
        switch = await Switch(DIALECT, FRAMING).open()
        await switch.close()
        dialer = dial(server, switch.port)
        await until(lambda: heard.dials.count("failed") >= 3)
        await switch.open()
        await until(lambda: dialer.state == "open")
        await switch.close()

    play(story)


def test_a_sign_on_that_is_refused_ends_the_link_and_is_tried_again_later() -> None:
    async def story(world: World, server: Server, heard: Listening) -> None:
        switch = await Switch(DIALECT, FRAMING, code="91").open()
        dialer = dial(server, switch.port)
        await until(lambda: switch.calls >= 3)
        assert set(heard.bad) == {"sign_on_refused"}
        switch.code = "00"
        await until(lambda: dialer.state == "open")
        await switch.close()

    play(story)


def test_a_sign_on_that_nobody_answers_ends_the_link() -> None:
    async def story(world: World, server: Server, heard: Listening) -> None:
        switch = await Switch(DIALECT, FRAMING, code=None).open()
        dialer = dial(server, switch.port)
        await until(lambda: dialer.state == "connected")
        await until(lambda: switch.calls == 1)
        # Nothing is taken before: who did not let us in is told so.
        assert (await switch.ask("0100", purchase(1)))[39] == "30"
        world.clock.advance(11.0)
        await until(lambda: switch.calls == 2)
        assert heard.bad == ["not_signed_on", "sign_on_unanswered"]
        await switch.close()

    play(story)


def test_who_hangs_up_at_once_is_dialled_no_faster_than_who_is_not_there() -> None:
    async def story(world: World, server: Server, heard: Listening) -> None:
        switch = await Switch(DIALECT, FRAMING).open()
        dialer = dial(server, switch.port)
        backoff = dialer._backoff
        for _ in range(4):
            await until(lambda: dialer.state == "open")
            switch._writers.pop().transport.abort()
            await until(lambda: dialer.state == "down")
        assert backoff._step_s == 0.1
        await until(lambda: dialer.state == "open")
        world.clock.advance(STEADY_S)
        switch._writers.pop().transport.abort()
        await until(lambda: dialer.state == "down")
        assert backoff._step_s == 0.02
        await switch.close()

    play(story)


def test_without_a_sign_on_of_ours_the_peer_may_do_it() -> None:
    async def story(world: World, server: Server, heard: Listening) -> None:
        switch = await Switch(DIALECT, FRAMING).open()
        dialer = dial(server, switch.port, sign_on=False)
        await until(lambda: switch.calls == 1)
        sign_on = {7: "0322120000", 11: "000001", 70: "001"}
        await until(lambda: dialer.state == "connected")
        assert (await switch.ask("0800", sign_on))[39] == "00"
        assert dialer.state == "open"
        await switch.close()

    play(story)


def test_two_listeners_and_a_call_each_in_its_own_tongue_at_once() -> None:
    """One engine, one card, three networks: what one holds the others see."""

    async def story(world: World, server: Server, heard: Listening) -> None:
        switch = await Switch(OF_1993["dialect"], OF_1993["framing"], "iso93").open()
        dialer = dial(server, switch.port, **OF_1993)
        plain = settings(sign_on=False, sign_on_required=False, name="plain")
        binary = settings(sign_on=False, sign_on_required=False, name="binary", **BINARY)
        peers = []
        for each in (plain, binary):
            port = await server.listen(each, "127.0.0.1", 0)
            streams = await asyncio.open_connection("127.0.0.1", port)
            peers.append(Peer(*streams, each.dialect, each.framing))
        await until(lambda: dialer.state == "open")

        for n in range(1, 61, 3):
            said = await asyncio.gather(
                peers[0].ask("0100", purchase(n, 100)),
                peers[1].ask("0100", purchase(n + 1, 200)),
                switch.ask("1100", purchase_1993(n + 2, 300)),
            )
            assert [message[39] for message in said] == ["00", "00", "000"]
        assert held(world) == 20 * 600
        for peer in peers:
            peer.writer.close()
        await switch.close()

    play(story)


def test_a_stopping_engine_dials_no_more() -> None:
    async def story(world: World, server: Server, heard: Listening) -> None:
        switch = await Switch(DIALECT, FRAMING).open()
        dialer = dial(server, switch.port)
        await until(lambda: dialer.state == "open")
        await server.close()
        await asyncio.sleep(0.2)
        assert switch.calls == 1
        await switch.close()

    play(story)
