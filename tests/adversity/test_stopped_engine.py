"""The engine itself stands still: what came meanwhile is not taken for fresh."""

import asyncio
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

from authz.app.people import load_population
from authz.app.store import Store, as_engine, opened
from authz.audit import audit_store
from authz.privacy import PanKeys
from authz.simulator.cards import Card
from authz.simulator.population import make_population
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from iso8583.message import Message
from tests.support.engine import purchase
from tests.support.scene import SECRET, Scene, in_the_journal

DIALECT, FRAMING = BY_NAME["iso87_ascii"], FRAMINGS["binary2"]
STOPPED_S = 1.0


class Wire:
    """A link without any manners: it neither repeats nor gives up."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, mti: str, fields: dict[int, str]) -> None:
        self._writer.write(FRAMING.pack(encode(mti, fields, DIALECT)))

    async def hear(self) -> Message:
        async with asyncio.timeout(10):
            size = int.from_bytes(await self._reader.readexactly(2), "big")
            return decode(await self._reader.readexactly(size), DIALECT)

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


def test_what_came_while_the_engine_was_stopped_is_told_91_and_holds_nothing(
    tmp_path: Path,
) -> None:
    """A warm card, plenty of money: nothing but the time speaks against it."""

    def bought(card: Card, stan: int) -> dict[int, str]:
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        return purchase(stan, 100, at_ms=now_ms, de2=card.pan, de14=card.expiry)

    async def story() -> None:
        scene = Scene(tmp_path)
        try:
            population = make_population(5, 300, datetime.now(UTC).date())
            store = Store(scene.valkey.url, as_engine(scene.valkey.url), scene.valkey, fresh=True)
            async with opened(store, "test") as state:
                await load_population(state, PanKeys(bytes.fromhex(SECRET)), population, "test")
            await asyncio.to_thread(scene.engine.wait_until_ready)
            wire = Wire(*await asyncio.open_connection("127.0.0.1", scene.port))
            wire.send("0800", {7: "0101000000", 11: "000001", 70: "001"})
            await wire.hear()
            for stan, card in enumerate(population.cards[:100], 1):  # one that is good for it
                wire.send("0100", bought(card, stan))
                if (await wire.hear())[39] == "00":
                    break
            held = await in_the_journal(scene.valkey.url)
            assert len(held) == 1

            os.kill(scene.engine.pid, signal.SIGSTOP)
            for again in range(20):
                wire.send("0100", bought(card, 1000 + again))
            await asyncio.sleep(STOPPED_S)
            os.kill(scene.engine.pid, signal.SIGCONT)
            assert [(await wire.hear())[39] for _ in range(20)] == ["91"] * 20

            again = bought(card, 2000)
            wire.send("0100", again)
            while (await wire.hear())[39] != "00":  # two beats later it is as before
                await asyncio.sleep(0.02)
                wire.send("0101", again)
            await wire.close()
            assert len(await in_the_journal(scene.valkey.url)) == 2
            audit = await audit_store(scene.valkey.url)
            assert audit.ok, audit.differences[:10]
        finally:
            scene.stop()

    asyncio.run(story())
