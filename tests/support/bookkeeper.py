"""What accounts must be, told from messages and their answers alone.

A second opinion for the scenarios of many cards: it was written from the promises in docs/ and
shares no code with the engine. A payment is a purchase, or a credit, and all that was said of it;
what it holds and has posted is told anew from the set of these each time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction

RATE = Fraction(3, 2)  # dollars for a euro
HOLD_DAYS = 7
UPLIFT = Fraction(1, 5)  # for the tip, at a restaurant


@dataclass(eq=False)
class Holder:
    """An account."""

    name: str
    opening: int
    line: int = 0
    payments: list["Payment"] = field(default_factory=list)

    @property
    def posted(self) -> int:
        return self.opening - sum(p.posted * p.sign for p in self.payments)

    @property
    def held(self) -> int:
        return sum(p.held * p.sign for p in self.payments)

    @property
    def available(self) -> int:
        return self.posted - self.held + self.line

    @property
    def open_holds(self) -> int:
        return sum(1 for p in self.payments if p.held)

    @property
    def counters(self) -> dict[str, int]:
        """Every counter that is not zero."""
        used: dict[str, int] = {}
        for payment in self.payments:
            for name, share in payment.shares().items():
                used[name] = used.get(name, 0) + share
        return {name: use for name, use in used.items() if use}


@dataclass(eq=False)
class Plastic:
    """A card. A replaced one shares its subject, and its ceilings, with the one before."""

    name: str
    pan: str
    holder: Holder
    subject: str = ""  # its id, or that of the card it replaces
    daily_count: int | None = None
    daily_amount: int | None = None
    frozen: bool = False

    def counters(self, at: int) -> dict[str, tuple[str, int]]:
        """The counters of that day: what each counts, and its ceiling."""
        day, found = datetime.fromtimestamp(at, UTC).strftime("%Y%m%d"), {}
        if self.daily_count is not None:
            found[f"{self.subject}/day_count/{day}"] = ("count", self.daily_count)
        if self.daily_amount is not None:
            found[f"{self.subject}/day_amount/{day}"] = ("amount", self.daily_amount)
        return found


@dataclass(eq=False)
class Said:
    """One message. `kind`: start | more | advice | part (of several) | last | back | none."""

    kind: str
    card: Plastic
    at: int
    mti: str
    fields: dict[int, str]
    amount: int = 0  # in the transaction's currency
    billed: int = 0  # in dollars
    stays: int | None = None  # of a partial reversal
    of: int = 0  # of a counted completion: so many there are in all
    target: "Said | None" = None  # of a reversal: the act that it takes back; None: all of it
    answer: dict[int, str] | None = None

    @property
    def code(self) -> str:
        assert self.answer is not None
        return self.answer[39]

    def __repr__(self) -> str:
        named = f" of {self.target.fields[11]}" if self.target else ""
        stays = f", {self.stays} stays" if self.stays is not None else ""
        said = f" -> {self.code}" if self.answer else ""
        who = f"{self.card.name}/{self.card.holder.name}"
        return f"{self.mti} {self.fields[11]} {who} {self.kind}{named} {self.amount}{stays}{said}"


@dataclass(eq=False)
class Payment:
    """One purchase or credit, and all that was said of it."""

    card: Plastic
    start: Said  # the request; it may come late, or never
    sign: int = 1
    posts: bool = False  # a 0200
    early_credit: bool = False  # a refund that is available at its approval
    keeps: bool = False  # a completion leaves the rest of the hold
    tip: bool = False  # more is held than is asked
    rung: str = "de37"  # what its followers name it by, until it is approved
    asked_before: bool = False  # its request was sent
    acts: list[Said] = field(default_factory=list)  # taken in, in any order
    approved: int = 0  # in dollars; what is held for a tip is in it
    approved_asked: int = 0  # the same in the transaction's currency, as it was answered
    ended: bool = False  # by its date, or by a person's word
    foretold: int = 0  # what should be approved, where it can be told

    def totals(self, approved: int | None = None, more: Iterable[Said] = ()) -> tuple[int, int]:
        """Held and posted. `approved` and `more` say what it would be if these were added."""
        held, posted, _ = self._amounts(approved, more)
        return held, posted

    def _amounts(self, approved: int | None, more: Iterable[Said]) -> tuple[int, int, bool]:
        """And whether the last word is that all of it is taken back."""
        acts = sorted([*self.acts, *more], key=lambda act: act.at)
        allowed, asked = self.approved, self.approved_asked
        at_once = self.posts and (approved is not None or self._is_known)
        if approved is not None:
            allowed, asked = approved, self.start.amount
        posted, back = 0, False
        whole = allowed, asked  # what parts are parts of
        shipments = [act for act in acts if act.kind in ("part", "last")]
        for act in acts:
            again = at_once and act in shipments
            if act.kind == "advice" or (again and act is shipments[0]):
                # Said again: by the network in our stead, or by who posted it already.
                whole = allowed, asked = after_reversals(act, acts)
                back = taken(act, acts)
            elif act.kind == "more" or again:
                billed, amount = after_reversals(act, acts)
                if not back:
                    allowed, asked = allowed + billed, asked + amount
                whole = allowed, asked
            elif act in shipments:
                posted += after_reversals(act, acts)[0]
            elif act.kind == "back" and (act.target is None or act.target.kind == "start"):
                if act.stays is None:
                    allowed, asked, back = 0, 0, True
                elif act.stays < whole[1]:
                    allowed = min(allowed, scaled(act.stays, whole[0], whole[1]))
                    asked = min(asked, act.stays)
        if at_once:
            return 0, posted + allowed, back
        over = self.ended or back or self._is_shipped(shipments)
        if over or (self.sign < 0 and not self.early_credit):
            return 0, posted, back
        return max(allowed - posted, 0), posted, back

    @property
    def _is_known(self) -> bool:
        """Whether its request stands: it was approved, or is taken back (05). Of one that has not
        come, or was declined, nobody knows what it would do: what follows stands alone."""
        return self.start.answer is not None and self.start.code in ("00", "10", "05")

    def _is_shipped(self, shipments: list[Said]) -> bool:
        """All that was announced has come, whichever came last."""
        announced = [
            max(act.of, 1) for act in shipments if act.kind == "last" and (act.of or not self.keeps)
        ]
        return bool(announced) and len(shipments) >= max(announced)

    @property
    def held(self) -> int:
        return self.totals()[0]

    @property
    def posted(self) -> int:
        return self.totals()[1]

    @property
    def spent(self) -> int:
        return sum(self.totals())

    @property
    def taken_back(self) -> bool:
        return self._amounts(None, ())[2]

    @property
    def has_ended(self) -> bool:
        shipments = [act for act in self.acts if act.kind in ("part", "last")]
        return self.ended or self._is_shipped(shipments) or self.taken_back

    @property
    def expires(self) -> int:
        """When its hold ends: by the latest of what holds."""
        sent = [act.at for act in self.acts if act.kind != "back"]
        if self.approved:
            sent.append(self.start.at)
        return max(sent) + HOLD_DAYS * 86_400

    def counted_by(self) -> dict[str, str]:
        """Its own day's counters once it is approved; before that those of what came of it."""
        if self.sign < 0:
            return {}
        sources = [self.start] if self.approved else [a for a in self.acts if a.kind != "back"]
        return {
            name: what
            for said in sources
            for name, (what, _) in said.card.counters(said.at).items()
        }

    def shares(self) -> dict[str, int]:
        spent = self.spent
        return {
            name: spent if what == "amount" else int(spent > 0)
            for name, what in self.counted_by().items()
        }

    # -- what must be answered, where nothing else happens on the account ---------------

    def wanted(self) -> int:
        """What is held where there are funds for it."""
        return self.start.billed + (int(self.start.billed * UPLIFT) if self.tip else 0)

    def expected_start(self, less_will_do: bool) -> tuple[str, int]:
        """DE 39 of the request, and what is approved of it."""
        if self.card.frozen:
            return "62", 0
        if self.acts:
            code = self._may_stand(self.wanted())
            if code in ("51", "61", "65") and self.tip:
                return self._may_stand(self.start.billed), self.start.billed
            return code, self.wanted()
        return self._fits(less_will_do)

    def _may_stand(self, approved: int) -> str:
        """With what came before it."""
        held, posted, back = self._amounts(approved, ())
        spent, before = held + posted, self.spent
        moot = spent == 0 and (self.sign > 0 or self.posts or self.early_credit)
        if back or moot:
            return "05"
        if self.sign < 0:
            return "00"
        return self._over(spent, self.start) or (
            "51" if spent - before > max(self.card.holder.available, 0) else "00"
        )

    def _fits(self, less_will_do: bool) -> tuple[str, int]:
        """With nothing before it: all of it, or less where that will do."""
        if self.sign < 0:
            return "00", self.start.billed
        asked, used, room, code = self.start.billed, self.card.holder.counters, self.wanted(), ""
        for name, (what, ceiling) in self.card.counters(self.start.at).items():
            left = ceiling - used.get(name, 0)
            if what == "count":
                left = self.wanted() if left >= 1 else 0
            if left < asked:
                code = code or ("65" if what == "count" else "61")
            room = min(room, left)
        if self.card.holder.available < asked:
            code = code or "51"
        room = min(room, self.card.holder.available)
        if not code:
            return "00", room
        if less_will_do and room > 0 and self.start.amount * room // asked > 0:
            return "10", room
        return code, 0

    def expected_increment(self, said: Said) -> str:
        if said.card.frozen:
            return "62"
        spent, before = sum(self.totals(more=[said])), self.spent
        if self.has_ended or spent <= before:
            return "05"
        return self._over(spent, said) or (
            "51" if spent - before > max(self.card.holder.available, 0) else "00"
        )

    def _over(self, spent: int, said: Said) -> str:
        """The ceiling of that day that so much would be over; a payment is counted as a whole."""
        used, mine = self.card.holder.counters, self.shares()
        for name, (what, ceiling) in said.card.counters(said.at).items():
            use = (spent if what == "amount" else int(spent > 0)) - mine.get(name, 0)
            if use > 0 and used.get(name, 0) + use > ceiling:
                return "65" if what == "count" else "61"
        return ""


def taken(act: Said, acts: list[Said]) -> bool:
    """Whether all of an act was taken back by name."""
    return any(b.kind == "back" and b.target is act and b.stays is None for b in acts)


def after_reversals(act: Said, acts: list[Said]) -> tuple[int, int]:
    """An act's amounts less what is taken back of it by name."""
    billed, amount = act.billed, act.amount
    for other in acts:
        if other.kind == "back" and other.target is act:
            if other.stays is None:
                return 0, 0
            if other.stays < act.amount:
                billed = min(billed, scaled(other.stays, act.billed, act.amount))
                amount = min(amount, other.stays)
    return billed, amount


def scaled(a: int, b: int, c: int) -> int:
    """a * b / c, half to even."""
    return round(Fraction(a * b, c))
