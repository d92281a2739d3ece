"""Would this pass? A request that nobody sent, decided as an engine would; nothing is changed.

The account is read in one step into the twin of the hot state (authz/hot/memory.py, which a
property test holds against the store's own functions), and the engine's plan is carried out there.
"""

from typing import Any

from redis.asyncio import Redis

from authz.app.explaining import ceiling_of, told_of, up_to_the_first_no
from authz.app.history import Plain
from authz.app.judgements import as_it_is
from authz.app.looking import NotThere, reply, search
from authz.app.meaning import is_id, money_of, read_amount
from authz.authorize import outcome_of, plan_act
from authz.budget import Budget
from authz.cards import Known, NearCache
from authz.clock import SystemClock, utc
from authz.engine import Engine, Settings
from authz.hot import admin, keys
from authz.hot.acts import Authorize, Stale, Verdict, Withdraw
from authz.hot.memory import MemoryHotState
from authz.hot.model import Account
from authz.hot.resp import connect
from authz.hot.store import RedisHotState
from authz.profiles import read_account, read_card
from authz.standing import Seen, look_call, read_look
from authz.wire.networks import NETWORKS
from rules.categories import mcc_name
from rules.counters import Counters
from rules.explain import checks_of
from rules.facts import AuthorizationRequest
from rules.price import Price, plan_of
from rules.reason import Reason

TIMEOUT_S = 5.0  # of one reading; nobody waits for this answer at a till
STAN = "dry-run"  # no message has one like it, so no record is taken for a repeat


class NoSpool:
    """Nothing is asked of the store that would have to be withdrawn."""

    full = False

    def note(self, act: Withdraw) -> None:
        raise AssertionError("a dry run withdrew something")


class Nobody:
    """Hears what the engine does."""

    def stage(self, name: str, seconds: float) -> None: ...
    def hot_call(self, outcome: str) -> None: ...
    def near_cache_stale(self) -> None: ...


async def would_be(
    client: Redis, url: str, settings: Settings, card_id: str, account_id: str, asked: Plain
) -> Plain:
    """What an engine would answer, and why. `asked`: fields of a request, and what its network
    billed, in major units; what is not among them is as if the message did not say it.
    Raises: NotThere; BadCell; HotStateError."""
    if not is_id(card_id):
        raise NotThere("no such card")
    account_id = account_id or await search(client, keys.card_field(card_id))
    seen, unreadable = read_look(await reply(client, *look_call(account_id)))
    if unreadable:
        raise NotThere("the account cannot be read: see authz reconcile")
    if not seen.version or card_id not in seen.cards:
        raise NotThere("no such card on such an account")
    known = known_of(seen, card_id)
    gates = await admin.state_of_gates(client)
    state, connection = RedisHotState(), await connect(url)
    state.attach(connection, await admin.run_id(client))
    try:
        clock = SystemClock()
        engine = Engine(state, NearCache(1), clock, NoSpool(), Nobody(), settings, STAN)
        budget = Budget(clock, clock.monotonic(), TIMEOUT_S)
        request = request_from(asked, known, clock.now_ms())
        judged_by = await as_it_is(client, request, known.card)
        await engine.judge_by(judged_by.texts, budget)
        engine.lists = judged_by.lists
        await engine.day_of(request.network, budget)
    finally:
        connection.close()
    act = plan_act(engine, request, known, STAN, budget)
    verdict = await twin_of(seen, known, engine.lists.version).authorize(act)
    assert not isinstance(verdict, Stale)
    return told(engine, request, known, seen, act, verdict) | {"gates": gates}


def known_of(seen: Seen, card_id: str) -> Known:
    version, _, card = seen.cards[card_id].partition(b" ")
    return Known(read_card(card), int(version), read_account(seen.profile), seen.version)


def request_from(asked: Plain, known: Known, now_ms: int) -> AuthorizationRequest:
    network, billed = asked["network"], asked.pop("billed", None)
    if billed is not None:
        money = money_of(known.account.currency)
        asked |= {
            "amount_minor": read_amount({"billed": billed}, "billed", money),
            "currency": money.currency,
        }
    unsaid: Plain = {
        "mti": f"{NETWORKS[network].version}100", "card_key": "", "merchant_id": "",
        "terminal_id": "", "acquirer_id": "", "country": "", "entry_mode": "", "expiry": "",
        "stan": STAN, "rrn": "", "sent_at": now_ms // 1000,
    }  # fmt: skip
    return AuthorizationRequest(**(unsaid | asked))


def twin_of(seen: Seen, known: Known, lists_version: int) -> MemoryHotState:
    """The account alone, as it stands."""
    twin = MemoryHotState()
    card, account = known.card, known.account
    amounts: dict[str, dict[str, int]] = {"posted": {}, "held": {}}
    for name, amount in seen.amounts.items():
        kind, _, currency = name.partition(":")
        amounts[kind][currency] = amount
    twin.accounts[account.account_id] = Account(
        version=seen.version, profile=seen.profile, posted=amounts["posted"],
        held=amounts["held"], records=seen.records, references=seen.references,
        used=Counters.of(seen.used),
    )  # fmt: skip
    packed = seen.cards[card.card_id].partition(b" ")[2]
    twin.cards[card.card_id] = known.card_version, packed, account.account_id
    twin.blocked = lists_version, frozenset()
    return twin


def told(
    engine: Engine,
    request: AuthorizationRequest,
    known: Known,
    seen: Seen,
    act: Authorize,
    verdict: Verdict,
) -> Plain:
    made_from = known.card, known.account, engine.lists, engine.judge
    priced, plan = plan_of(request, *made_from)
    outcome = outcome_of(act, verdict)
    codes = NETWORKS[request.network].codes
    code = codes.code(outcome.reason, request.mti, is_account_check=request.amount_minor == 0)
    if outcome.approved is not None:
        code = codes.partial
    checks = checks_of(priced.request, *made_from)
    return {
        "card_id": act.card_id,
        "account_id": act.account_id,
        "sent_at": utc(request.sent_at * 1000).isoformat(timespec="seconds"),
        "network": request.network,
        "purpose": request.purpose,
        "channel": request.channel,
        "mcc": request.mcc,
        "mcc_name": mcc_name(request.mcc),
        "merchant_id": request.merchant_id,
        "country": request.country,
        "asked_minor": request.amount_minor,
        "asked_currency": request.currency,
        "answer": outcome.reason,
        "response_code": code,
        "policy": engine.judge.version,
        "rule": plan.rule,
        "flags": list(plan.flags),
        "price": price_of(priced),
        "checks": [told_of(check) for check in up_to_the_first_no(checks)],
        "ceilings": list(ceilings(act, seen, verdict)),
        "funds": funds(act, seen, verdict, priced, outcome.reason),
    }


def price_of(priced: Price) -> Plain:
    currency = priced.request.currency
    return {
        "settle_minor": priced.settle_minor, "settle_currency": currency,
        "fee_minor": priced.fees.total_minor, "fee_currency": currency,
        "cross_border_fee_minor": priced.fees.cross_border_minor,
        "cross_border_fee_currency": currency,
        "rate": priced.rate, "rate_source": priced.source, "rate_date": priced.rate_date,
    }  # fmt: skip


def ceilings(act: Authorize, seen: Seen, verdict: Verdict) -> Any:
    """Up to the one that refuses; nothing is counted, so there is no "after"."""
    if act.planned != Reason.APPROVED:
        return
    counters = Counters.of(seen.used)
    for limit in act.limits:
        before, known = counters.seen(limit)
        full = not known and before + limit.use > limit.ceiling
        refuses = verdict.kind == "over_limit" and full
        yield ceiling_of(limit, before, None, limit.reason if refuses else "no objection")
        if refuses:
            return


def funds(act: Authorize, seen: Seen, verdict: Verdict, priced: Price, reason: Reason) -> Plain:
    posted = seen.amounts.get(f"posted:{act.currency}", 0)
    held = seen.amounts.get(f"held:{act.currency}", 0)
    said = "not asked"
    if verdict.kind == "no_funds":
        said = reason
    elif reason is Reason.APPROVED and act.hold_minor:
        said = "no objection"
    part = verdict.approved
    return {
        "currency": act.currency,
        "available_minor": posted - held + act.credit_line_minor,
        "asked_minor": priced.settle_minor,
        **({"would_approve_minor": part.billing_minor} if part else {}),
        "would_hold_minor": verdict.held_minor,
        "says": said,
    }
