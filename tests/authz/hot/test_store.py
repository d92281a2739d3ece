"""The hot state's connection out of step: no later reply on it is believed."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from authz.hot.errors import NotConnected, OutOfStep
from authz.hot.resp import connect
from authz.hot.store import RedisHotState
from tests.support.engine import World, code, purchase


async def commands(reader: asyncio.StreamReader) -> list[bytes]:
    """The next command's words."""
    count = int((await reader.readline())[1:])
    words = []
    for _ in range(count):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


VERDICT = b"$4\r\nheld\r\n$8\r\napproved\r\n$0\r\n\r\n:10\r\n$1\r\na\r\n:0\r\n"
WRONG = {
    "another's verdict": b"*7\r\n$7\r\nanother\r\n" + VERDICT,
    "another kind of reply": b":1\r\n",
    "nothing": b"*0\r\n",
}


@pytest.mark.parametrize("what", WRONG)
def test_a_reply_to_another_message_closes_the_connection_and_is_withdrawn(what: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await commands(reader)
            writer.write(WRONG[what])
            await reader.read()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def story() -> None:
        world = await World().open_with(10_000)
        await world.engine.cards.find(world.hot, await known_card(world), world.engine.budget(0.0))
        await world.engine.day_of("generic", world.engine.budget(0.0))
        with tempfile.TemporaryDirectory(prefix="az") as folder:
            server = await asyncio.start_unix_server(answer, Path(folder) / "s")
            hot = RedisHotState()
            connection = await connect(f"unix://{folder}/s")
            hot.attach(connection, "run")
            world.engine.hot = hot
            assert code(await world.link().say("0100", purchase(1, 10))) == "91"
            assert len(world.spool.acts) == 1
            assert ("hot_call", OutOfStep.__name__) in world.watcher.heard
            while connection.connected:
                await asyncio.sleep(0.001)
            with pytest.raises(NotConnected):
                await hot.withdraw(world.spool.acts[0], 1.0)
            server.close()
            await asyncio.sleep(0.01)

    asyncio.run(story())


async def known_card(world: World) -> str:
    """The key of the only card there is."""
    [key] = world.hot.directory
    return str(key)
