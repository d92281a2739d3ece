"""The composition root: configuration in, a running engine out."""

import asyncio
import gc
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib.metadata import version
from random import Random
from typing import Any

import structlog
from redis.exceptions import RedisError

from authz.announcer import Announcer
from authz.announcing import networks_told
from authz.app.announce import listening
from authz.app.http import Health, start_http
from authz.app.output import counted
from authz.app.spools import open_spool
from authz.app.store import Store, pan_keys
from authz.audit import audit_before_opening
from authz.backoff import Backoff
from authz.cards import NearCache
from authz.checks.link import RECONNECT_MAX_S, RECONNECT_MIN_S, Check
from authz.checks.panel import Panel
from authz.clock import SystemClock
from authz.config import Config, LinkConfig
from authz.dialects import find_dialect
from authz.dispatch import Dispatcher
from authz.engine import Engine, Settings
from authz.expire import Expiry
from authz.garbage import Pauses
from authz.hot import admin
from authz.hot.errors import HotStateError
from authz.hot.keeper import Keeper
from authz.hot.store import RedisHotState
from authz.latency import LatencyRecorder
from authz.metrics import Metrics
from authz.privacy import PanKeys
from authz.reviews import Reviews
from authz.sealing import Sealer
from authz.server import Server
from authz.session import LinkSettings
from authz.totals import Forgetting
from authz.warming import Warming
from authz.withdrawals import Withdrawals
from iso8583.framing import FRAMINGS
from rules.reason import Reason

log = structlog.get_logger()

END_S = 5.0  # for our own tasks to end; what they wait for is over in two
FIRST_READ_S = 10.0  # of the policy at the start; one at its bound is compiled in under one
AGAIN_S = 0.1  # between one cancel and the next

# A request leaves no cycles behind, so the collector finds next to nothing: it looks seldom.
GC_THRESHOLDS = (50_000, 20, 50)


class Watch:
    """Hears what the engine and its links do, and keeps the numbers of it."""

    def __init__(self, metrics: Metrics, latency: LatencyRecorder) -> None:
        self._metrics = metrics
        self._latency = latency
        self.stage = metrics.stage
        self.hot_call = metrics.hot_call
        self.near_cache_stale = metrics.near_cache_stale
        self.bad_input = metrics.bad_input
        self.frames = metrics.frames
        self.dialled = metrics.dialled

    def answered(self, mti: str, reason: Reason, seconds: float) -> None:
        self._metrics.answered(mti, reason, seconds)
        self._latency.record(seconds)


class Running:
    """An engine that runs: its parts, for those who ask how it does."""

    def __init__(
        self, engine: Engine, server: Server, keeper: Keeper, spool: Withdrawals,
        metrics: Metrics, latency: LatencyRecorder,
    ) -> None:  # fmt: skip
        self.engine = engine
        self.server = server
        self.keeper = keeper
        self.spool = spool
        self.metrics = metrics
        self.latency = latency
        self.ports: dict[str, int] = {}  # by the link's name
        self.http_port = 0

    def health(self) -> Health:
        if self.spool.full:
            return Health(ready=False, reason="too many withdrawals are pending")
        return Health(ready=self.keeper.ready, reason=self.keeper.why_not)

    async def is_ready(self) -> bool:
        return self.keeper.ready


@asynccontextmanager
async def running(
    config: Config, store: Store, *, listen: bool = True, serve_http: bool = True,
    http_socket: str | None = None, worker: int = 0,
) -> AsyncIterator[Running]:  # fmt: skip
    """One engine process: connected, listening, its metrics served; until the block ends.

    The store has been prepared, its id is known, and its spools are locked.
    Raises: CannotListen.

    Of several workers each dials its share of the links that we dial: a network takes one call.

    On a Unix socket the numbers are for a parent, and /latency is what it can `merge`.
    """
    clock = SystemClock()
    metrics = Metrics(version=version("authz"), budget_s=config.engine.budget_ms / 1000)
    latency = LatencyRecorder(config.engine.budget_ms / 1000)
    watch = Watch(metrics, latency)
    hot = RedisHotState()
    cards = NearCache(config.engine.near_cache_cards)
    spool = open_spool(config, store.id, hot, metrics.withdrawn)
    name = secrets.token_hex(3)
    engine = Engine(hot, cards, clock, spool, watch, settings_of(config), name)
    engine.shadow.count = metrics.shadowed
    checks = seat_checks(config, engine, metrics, name)
    own_keys = pan_keys(config)
    server = Server(
        Dispatcher(engine, own_keys), clock, watch,
        in_flight_max=config.engine.in_flight_max,
        hot_deadline_s=config.engine.hot_deadline_ms / 1000,
    )  # fmt: skip

    async def on_ready(offset_ms: int) -> None:
        engine.store_offset_ms = offset_ms
        await engine.keep_up(FIRST_READ_S)
        await engine.refresh_days(engine.budget(clock.monotonic()))
        if not keeper.ready:  # once for each time that it becomes so
            await hot.say_by_file(config.clearing.said, FIRST_READ_S)

    keeper = Keeper(
        store.engine_url, hot, clock, lambda run_id: reopen(store, name), on_ready, store.id,
        own_keys.check, engine.forget,
    )  # fmt: skip
    run = Running(engine, server, keeper, spool, metrics, latency)
    watch_gauges(run, cards)
    pauses = Pauses(clock, metrics.gc_pause)
    metrics.watch("gc_pause_longest_seconds", lambda: pauses.longest_s)
    tasks = list[asyncio.Task[None]]()
    http = None
    try:
        if listen:
            await start_links(config, run)
        if serve_http or http_socket:
            where = config.metrics
            with listening("metrics", where.host, where.port, "--metrics-port"):
                http = await start_http(
                    where.host, where.port, metrics.text, run.health,
                    (lambda: {"recorder": latency.dump()}) if http_socket else latency.summary,
                    unix_socket=http_socket,
                )  # fmt: skip
            run.http_port = http.port
        # Not before: what is not ours to listen on is told with nothing under way.
        tasks = tasks_of(config, run, own_keys)
        tasks += [asyncio.ensure_future(check.run()) for check in checks]
        dial_links(config, run, name, worker)
        # What is alive now lives as long as we do: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        pauses.start()
        yield run
    finally:
        pauses.stop()
        await server.close()
        if http is not None:
            await http.close()
        await ended(tasks)
        spool.close()


def tasks_of(config: Config, run: Running, own_keys: PanKeys) -> list[asyncio.Task[None]]:
    """What an engine does beside answering."""
    engine, keeper = run.engine, run.keeper
    parts = (
        keeper, run.spool, Expiry(engine, keeper, run.metrics.hold_ended),
        announcer_of(config, run, own_keys), Forgetting(engine, keeper), reviews_of(run),
        Warming(engine, keeper),
    )  # fmt: skip
    return [asyncio.ensure_future(part.run()) for part in parts]


def announcer_of(config: Config, run: Running, own_keys: PanKeys) -> Announcer:
    """What tells networks of our blocked cards; where no link does, it has nothing to do."""
    announcer = Announcer(
        run.engine.hot, run.keeper, networks_told(config.links), run.server.link_for_files,
        Sealer(own_keys), run.metrics.announced,
    )  # fmt: skip
    run.server.file_answered = announcer.answered
    run.metrics.watch("announcements_pending", lambda: announcer.pending)
    return announcer


def seat_checks(config: Config, engine: Engine, metrics: Metrics, name: str) -> list[Check]:
    """The optional checks; each worker has its own connection to each of them."""
    seated = []
    for check in config.checks:
        chance = Random(f"{name}/{check.name}")
        backoff = Backoff(RECONNECT_MIN_S, RECONNECT_MAX_S, chance)
        seated.append(Check(check, engine.clock, backoff, metrics.checks.counter(check.name)))
        metrics.checks.watch(check.name, seated[-1].is_up)
    if seated:
        engine.checks = Panel(seated)
    return seated


def reviews_of(run: Running) -> Reviews:
    """What ends old cases; its numbers are the whole store's, and every engine tells them."""
    reviews, watch = Reviews(run.engine, run.keeper), run.metrics.watch
    watch("reviews_waiting", lambda: reviews.counts.waiting)
    watch("reviews_opened", lambda: reviews.counts.opened)
    watch("reviews_not_opened", lambda: reviews.counts.full)
    watch("reviews_approved", lambda: reviews.counts.approved)
    watch("reviews_declined", lambda: reviews.counts.declined)
    watch("reviews_ended", lambda: reviews.counts.ended)
    return reviews


def watch_gauges(run: Running, cards: NearCache) -> None:
    """What is read at each scrape, and not counted."""
    metrics, server = run.metrics, run.server
    metrics.watch("in_flight", lambda: server.admission.in_flight)
    metrics.watch("in_flight_limit", lambda: int(server.admission.limit))
    metrics.watch("held_back", lambda: server.admission.waiting)
    metrics.watch("links", lambda: server.link_count)
    metrics.watch("near_cache_cards", lambda: len(cards))
    metrics.watch("near_cache_warm", lambda: float(cards.warm))
    metrics.watch("near_cache_hits", lambda: cards.hits)
    metrics.watch("near_cache_misses", lambda: cards.misses)
    metrics.watch("spool_pending", lambda: len(run.spool))
    metrics.watch("hot_up", lambda: float(run.keeper.ready))


async def ended(tasks: Collection[asyncio.Future[Any]], within_s: float = END_S) -> None:
    """Cancel these until they have ended, but not for ever: a task may let a cancel pass."""
    clock = SystemClock()
    until = clock.monotonic() + within_s
    left = set(tasks)
    while left and clock.monotonic() < until:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)
    if left:
        log.error("tasks_do_not_end", count=len(left), after_s=within_s)


async def start_links(config: Config, run: Running) -> None:
    """Listen. Raises: CannotListen."""
    for link in config.links:
        if link.connect is None:
            with listening("ISO 8583", link.host, link.port, "--port"):
                port = await run.server.listen(link_settings(link), link.host, link.port)
            run.ports[link.name] = port


def dial_links(config: Config, run: Running, name: str, worker: int) -> None:
    """Dial this worker's share. `name` is unlike any other engine's."""
    for place, link in enumerate(config.links):
        if link.connect is not None and place % config.engine.workers == worker:
            # Two engines of one network must not knock at its door in step.
            chance = Random(f"{name}/{link.name}")
            backoff = Backoff(link.reconnect_min_s, link.reconnect_max_s, chance)
            dialer = run.server.dial(link_settings(link), link.address(), backoff)
            run.metrics.watch_link(link.name, dialer.get_state)


async def reopen(store: Store, name: str) -> str:
    """Audit a store that was restarted, and open its gates if it is whole.

    Returns why they are not open, or "".
    """
    client = admin.administrator(store.url)
    try:
        await admin.install(client)
        report = await audit_before_opening(client, store.url, f"audit by {name}")
    except admin.NotFit as error:
        return str(error)
    except (RedisError, HotStateError, OSError) as error:
        return f"the audit could not be finished ({type(error).__name__})"
    finally:
        await client.aclose()
    if report is not None and report.repaired:
        log.warning("directory_repaired", cards=report.repaired)
    if report is not None and not report.ok:
        return f"the audit found {counted(report.found, 'difference')}: see authz reconcile"
    return ""


def settings_of(config: Config) -> Settings:
    c = config.engine
    return Settings(
        budget_s=c.budget_ms / 1000,
        hot_deadline_s=c.hot_deadline_ms / 1000,
        answer_window_s=c.answer_window_s,
        advice_window_s=c.advice_window_s,
        clock_skew_s=c.clock_skew_s,
        hold_days=c.hold_days,
        hold_rules=config.holds,
        by_file=config.clearing.networks,
    )


def link_settings(link: LinkConfig) -> LinkSettings:
    return LinkSettings(
        name=link.name,
        dialect=find_dialect(link.dialect),
        framing=FRAMINGS[link.framing],
        network=link.network,
        partial_approval=link.partial_approval,
        sign_on_required=link.sign_on_required,
        sign_on_timeout_s=link.sign_on_timeout_s,
        links_max=link.links_max,
        in_flight_max=link.in_flight_max,
        max_frame=link.max_frame,
        frame_timeout_s=link.frame_timeout_s,
        idle_echo_s=link.idle_echo_s,
        echo_timeout_s=link.echo_timeout_s,
        strikes_max=link.strikes_max,
        sign_on=link.sign_on and link.connect is not None,
        key_change=link.key_change,
        file_update=link.file_update or "",
    )
