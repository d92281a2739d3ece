"""Canaries: marked card numbers, tracks and codes go in; then all that was kept is searched."""

import asyncio
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import msgspec

from authz.app.store import Store, as_engine, opened
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin, keys
from authz.judgement import put_policy
from authz.privacy import Pan, PanKeys
from iso8583.codec import encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from tests.support.books import begin, books, drain
from tests.support.engine import account, purchase, reversal
from tests.support.scene import SECRET, Scene

PAN, STRANGER = "9999994242424242", "9999995353535353"
TRACK_1, TRACK_2 = "B9999994242424242^CANARY/A^28121010000", "9999994242424242=28121010007654321"
PIN_BLOCK, PRIVATE = "C4A7B1E5D2F39086", "92003987"  # DE 52; a CVV2 as some networks send it in 48
REFERRED = "MERCHANT0000009"
POLICY = f"""
version = "1"
[[rule]]
name = "look at it"
when = {{ merchant = ["{REFERRED}"] }}
outcome = "refer"
"""
CANARIES = (PAN, STRANGER, "7654321", "CANARY/A", PIN_BLOCK, "92003987")


def messages(now: str) -> list[bytes]:
    """Good ones, bad ones, and some that are no messages at all."""
    dialect = BY_NAME["iso87_ascii"]
    good = purchase(1, 100, de2=PAN, de7=now) | {
        35: TRACK_2, 45: TRACK_1, 48: PRIVATE, 52: bytes.fromhex(PIN_BLOCK)
    }  # fmt: skip
    by_track = {n: v for n, v in good.items() if n != 2} | {11: "000002"}
    raw = encode("0100", dict(sorted(good.items())), dialect)
    return [
        raw,
        encode("0100", dict(sorted((good | {11: "000009", 42: REFERRED}).items())), dialect),
        encode("0100", dict(sorted(by_track.items())), dialect),
        encode("0100", purchase(3, 100, de2=STRANGER, de7=now), dialect),
        encode("0400", reversal(purchase(1, 100, de2=PAN, de7=now), de7=now), dialect),
        encode("0100", purchase(4, 100, de2=PAN, de7=now, de18=""), dialect),
        encode("0620", {2: PAN, 7: now, 11: "000006", 48: f"call {PAN}", 63: TRACK_1}, dialect),
        encode("0520", {2: PAN, 7: now, 11: "000007", 48: f"of {PAN}", 50: "840"}, dialect),
        encode("0800", {2: PAN, 7: now, 11: "000008", 48: f"as {PAN}", 70: "201"}, dialect),
        encode("0300", purchase(5, 100, de2=PAN, de7=now), dialect),
        raw[:-1], raw + b"0", raw.replace(b"000000000100", b"00000000O100"), raw[4:],
        PAN.encode(), (TRACK_1 + PIN_BLOCK).encode(),
    ]  # fmt: skip


async def tables(dsn: str) -> dict[str, bytes]:
    """Every table of the books, as its rows lie in it."""
    found = {}
    async with books(dsn) as connection:
        for (name,) in await connection.fetch(
            "SELECT table_name FROM information_schema.tables "
            "WHERE table_schema = 'ledger' AND table_type = 'BASE TABLE'"
        ):
            content = BytesIO()
            await connection.copy_from_query(
                f'SELECT * FROM "{name}"', output=content, format="binary"
            )
            found[f"table {name}"] = content.getvalue()
    return found


def test_no_card_data_is_left_anywhere(tmp_path: Path, fresh_postgres: str) -> None:
    async def story() -> dict[str, bytes]:
        scene = Scene(tmp_path)
        framing = FRAMINGS["binary2"]
        try:
            url = scene.valkey.url
            async with opened(Store(url, as_engine(url), scene.valkey, True), "test") as state:
                await put_accounts(
                    state, [NewAccount(profile=account(), opening_minor=10_000)], "test"
                )
                new = NewCard(pan=Pan(PAN), account_id="A1", expiry="2812")
                await put_cards(state, PanKeys(bytes.fromhex(SECRET)), [new], "test")
            client = admin.administrator(url)
            await put_policy(client, POLICY, "test")
            await asyncio.to_thread(scene.engine.wait_until_ready)
            now = datetime.now(UTC).strftime("%m%d%H%M%S")
            sign_on = encode("0800", {7: now, 11: "000001", 70: "001"}, BY_NAME["iso87_ascii"])
            answered = 0
            for raw in messages(now):
                reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
                writer.write(framing.pack(sign_on) + framing.pack(raw))
                await asyncio.sleep(0.1)
                answered += len(framing.reader().feed(await reader.read(65_536)))
                writer.close()
            assert answered > len(messages(now)) + 6, "the canaries were not taken in"
            assert await client.zcard(keys.reviews(keys.shard_of("A1"))) == 1, (
                "nothing was referred"
            )
            await client.config_set("slowlog-log-slower-than", 0)
            kept = {
                "metrics": scene.engine.ask("/metrics"),
                "latency": scene.engine.ask("/latency"),
                "slow log": repr(await client.slowlog_get(1000)).encode(),
                "keys": b" ".join([key async for key in client.scan_iter()]),
            }
            await client.aclose()
            await begin(fresh_postgres)
            assert (await drain(url, fresh_postgres)).parked == 0
            rows = await tables(fresh_postgres)
            assert b"A1" in rows["table journal_entry"], "the books are empty"
            return kept | rows
        finally:
            scene.stop()

    kept = asyncio.run(story())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    kept |= {str(path.relative_to(tmp_path)): path.read_bytes() for path in files}
    assert any("aof" in name for name in kept)
    assert b"bad_input" in kept["engine.log"]
    for name, content in kept.items():
        for canary in CANARIES:
            forms = (canary.encode(), canary.encode().hex().encode(), msgspec.json.encode(canary))
            assert not any(form in content for form in forms), f"{name} holds a canary"
        assert bytes.fromhex(PIN_BLOCK) not in content, f"{name} holds the PIN block"
