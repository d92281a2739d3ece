"""The engine that a team would write first: pyiso8583, redis-py, asyncpg, one command per check.

What the bench is compared with, so it is written as its authors would: clear, honest, and without
a thought for round trips. It forgets what a real one must not (late messages, a crash between two
commands, a reply that never came), and is none the less what many run. Runs in an interpreter of
its own, since its codec shares an import name with ours.

Standard input: nothing. Arguments: Redis URL, Postgres DSN, a population as JSON, and the file in
which it says its port. Ends by SIGTERM.
"""

import asyncio
import json
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
from redis.asyncio import BlockingConnectionPool, Redis

iso8583: Any = import_module("iso8583")
SPEC = import_module("iso8583.specs").default_ascii

AT_ONCE = 64  # requests under way
POOL = 10  # connections to each server
DAY_S = 86_400
SCHEMA = """
CREATE TABLE IF NOT EXISTS authorizations (
    id bigserial PRIMARY KEY, stan text, sent text, acquirer text, account text, merchant text,
    mcc text, amount bigint, currency text, code text, at timestamptz DEFAULT now()
)"""


class Engine:
    """Everything that one request needs."""

    def __init__(self, redis: Any, database: asyncpg.Pool) -> None:
        self.redis, self.database = redis, database
        self.turn = asyncio.Semaphore(AT_ONCE)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One link: messages with two bytes of length before them."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                raw = await reader.readexactly(size)
                await self.turn.acquire()
                task = asyncio.create_task(self.answer(raw, writer))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def answer(self, raw: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            message, _ = iso8583.decode(raw, SPEC)
            mti = message["t"]
            if mti[1] == "8":
                code = "00"
            elif mti[1] == "4":
                code = await self.reverse(message)
            else:
                code = await self.authorize(message)
            reply = {k: v for k, v in message.items() if k not in ("14", "22", "25", "18", "43")}
            reply["t"] = mti[:2] + str(int(mti[2]) + 1) + "0"
            reply["39"] = code
            if code == "00" and mti[1] == "1":
                reply["38"] = message["11"]
            encoded, _ = iso8583.encode(reply, SPEC)
            writer.write(len(encoded).to_bytes(2, "big") + encoded)
        finally:
            self.turn.release()

    async def authorize(self, m: dict[str, str]) -> str:
        r = self.redis
        amount, day = int(m.get("6", m["4"])), m["7"][:4]
        seen = f"seen:{m['7']}:{m['11']}:{m.get('32', '')}"
        before = await r.get(seen)
        if before:
            return str(before)
        card = await r.hgetall(f"card:{m['2']}")
        if not card:
            code = "14"
        elif card["state"] != "active":
            code = "62"
        elif m.get("14", "9912") > card["expiry"]:
            code = "54"
        elif m["18"] in card["blocked"].split() or await r.sismember("blocked:merchants", m["42"]):
            code = "57"
        elif amount > int(card["limit"]):
            code = "61"
        else:
            code = await self.spend(m, card, amount, day)
        await r.set(seen, code, ex=3600)
        await self.database.execute(
            "INSERT INTO authorizations (stan, sent, acquirer, account, merchant, mcc, amount, "
            "currency, code) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            m["11"], m["7"], m.get("32", ""), card.get("account", ""), m["42"], m["18"], amount,
            m["49"], code,
        )  # fmt: skip
        return code

    async def spend(self, m: dict[str, str], card: dict[str, str], amount: int, day: str) -> str:
        r = self.redis
        count = f"count:{m['2']}:{day}"
        if await r.incr(count) > int(card["count"]):
            return "65"
        await r.expire(count, DAY_S)
        spent = f"spent:{m['2']}:{day}"
        if await r.incrby(spent, amount) > int(card["daily"]):
            await r.decrby(spent, amount)
            return "61"
        await r.expire(spent, DAY_S)
        account = f"account:{card['account']}"
        if await r.hget(account, "state") != "active":
            return "62"
        if await r.hincrby(account, "available", -amount) < 0:
            await r.hincrby(account, "available", amount)
            return "51"
        return "00"

    async def reverse(self, m: dict[str, str]) -> str:
        row = await self.database.fetchrow(
            "UPDATE authorizations SET code = 'RV' WHERE stan = $1 AND sent = $2 AND code = '00' "
            "RETURNING account, amount", m.get("90", "")[4:10], m.get("90", "")[10:20],
        )  # fmt: skip
        if row is not None:
            await self.redis.hincrby(f"account:{row['account']}", "available", row["amount"])
        return "00"


async def load(redis: Redis, population: dict[str, Any]) -> None:
    for id, account in population["accounts"].items():
        await redis.hset(f"account:{id}", mapping=account)
    for pan, card in population["cards"].items():
        await redis.hset(f"card:{pan}", mapping=card)


async def main(redis_url: str, dsn: str, population: dict[str, Any], announce: Path) -> None:
    pool = BlockingConnectionPool.from_url(redis_url, max_connections=POOL, decode_responses=True)
    redis = Redis(connection_pool=pool)
    database = await asyncpg.create_pool(dsn, min_size=POOL, max_size=POOL)
    await database.execute(SCHEMA)
    await database.execute("CREATE INDEX IF NOT EXISTS by_stan ON authorizations (stan, sent)")
    await load(redis, population)
    engine = Engine(redis, database)
    server = await asyncio.start_server(engine.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    part = announce.with_suffix(".part")
    part.write_text(json.dumps({"ports": {"naive": port}, "http_port": 0}))
    part.rename(announce)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    url, books, people, file = sys.argv[1:]
    asyncio.run(main(url, books, json.loads(Path(people).read_text()), Path(file)))
