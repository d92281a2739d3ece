"""An optional check as somebody else would write it, that does as it is told; on a real socket."""

import asyncio
import json
from pathlib import Path
from typing import Any

Reply = dict[str, Any] | bytes | None  # None: it never answers


class Scorer:
    """Answers what `says` makes of a question, after `after_s`."""

    def __init__(self, path: Path | None = None, says: Any = None, after_s: float = 0.0) -> None:
        self.path = path  # of its Unix socket; else TCP
        self.says = says if says is not None else {"risk": 700}
        self.after_s = after_s
        self.hang_up = False  # instead of the next answer
        self.heard: list[dict[str, Any]] = []
        self.lines: list[bytes] = []
        self.connections = 0
        self.address = ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> "Scorer":
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, self.path)
            self.address = f"unix://{self.path}"
        else:
            port = int(self.address.partition(":")[2] or 0)  # where it was before
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
            self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        answering = set()
        try:
            while line := await reader.readline():
                self.lines.append(line)
                self.heard.append(json.loads(line))
                if self.hang_up:
                    self.hang_up = False
                    writer.write(b'{"id": ')  # half a reply
                    break
                task = asyncio.ensure_future(self._answer(writer, self.heard[-1]))
                answering.add(task)
                task.add_done_callback(answering.discard)
        except ConnectionError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, asked: dict[str, Any]) -> None:
        reply: Reply = self.says(asked) if callable(self.says) else self.says
        if self.after_s:
            await asyncio.sleep(self.after_s)
        if reply is None:
            return
        if isinstance(reply, dict):
            reply = json.dumps({"id": asked["id"]} | reply).encode() + b"\n"
        writer.write(reply)
