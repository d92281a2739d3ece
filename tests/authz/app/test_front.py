"""One answer for several workers; with real ones in test_workers.py."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from authz.app.front import Front
from authz.app.http import Health, start_http
from authz.app.store import Store
from authz.app.supervise import Worker
from authz.config import Config


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        (None, "worker 0: gives no answer"),
        (Health(ready=False, reason="audit"), "worker 0: audit"),
        (Health(ready=True), ""),
    ],
)
def test_health_is_that_of_the_worst(health: Health | None, reason: str, tmp_path: Path) -> None:
    async def ask() -> Health:
        worker = Worker(0, Config(), Store("", "", None, False), tmp_path)
        async with AsyncExitStack() as stack:
            if health is not None:
                path = str(worker.http_socket)
                http = await start_http("", 0, bytes, lambda: health, dict, unix_socket=path)
                stack.push_async_callback(http.close)
            return await Front([worker], 0.2).health()

    assert asyncio.run(ask()) == Health(ready=reason == "", reason=reason)
