"""A store, an engine process and loaded cards, any of which may be killed; what to ask after."""

import asyncio
import socket
from datetime import UTC, datetime
from pathlib import Path

from authz.app.child import EngineProcess
from authz.app.embedded.valkey import EmbeddedValkey
from authz.hot import admin, keys, library
from authz.simulator.report import Report
from ledger.journal import AuthorizationBody, read_entry

SECRET = "6b" * 32


class Scene:
    """A store, an engine and loaded cards, any of which may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pan.key").write_text(SECRET)
        with socket.socket() as probe:  # the engine must come back where the network looks for it
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.valkey = self.start_valkey()
        self.engine = self.start_engine()

    def start_valkey(self) -> EmbeddedValkey:
        return EmbeddedValkey.start(self.folder / "store", acl=(library.ENGINE_ACL,))

    def start_engine(self) -> EngineProcess:
        return EngineProcess(
            self.folder, "--redis", self.valkey.url, "--port", str(self.port),
            "--pan-key-file", str(self.folder / "pan.key"),
        )  # fmt: skip

    async def kill_engine(self) -> None:
        self.engine.kill()
        self.engine = self.start_engine()
        await asyncio.to_thread(self.engine.wait_until_ready)

    async def kill_valkey(self) -> None:
        self.valkey.kill()
        await asyncio.sleep(0.3)
        self.valkey = await asyncio.to_thread(self.start_valkey)

    def stop(self) -> None:
        self.engine.stop()
        self.valkey.stop()


def acknowledged(report: Report) -> set[tuple[str, str, str]]:
    """DE 7, 11 and 32 of every authorization that the network was told is approved."""
    return {
        (sent, stan, acquirer)
        for key in report.approvals
        for mti, sent, stan, acquirer in [key.split(" ")]
        if mti == "0100"
    }


async def in_the_journal(url: str) -> set[tuple[str, str, str]]:
    """The same of every approval in the journal that was not withdrawn."""
    client = admin.administrator(url)
    held: dict[str, tuple[str, str, str]] = {}
    for shard in keys.ALL_SHARDS:
        for stream_id, fields in await client.xrange(keys.journal(shard)):
            entry = read_entry(stream_id, fields)
            e, body = entry.envelope, entry.body
            if isinstance(body, AuthorizationBody) and e.verdict == "held":
                sent = datetime.fromtimestamp(body.sent_at, UTC).strftime("%m%d%H%M%S")
                held[e.message_id] = (sent, body.stan, body.acquirer_id)
            elif e.kind == "withdrawal":
                held.pop(e.message_id, None)
    await client.aclose()
    return set(held.values())
