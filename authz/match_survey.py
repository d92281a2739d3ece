"""Captured traffic, message by message: what its keys and references are worth.

Both directions may be mixed. Requests are judged; answers are read for their DE 38 alone, which a
later reversal may name its authorization by.
"""

from collections import Counter, OrderedDict

from msgspec import Struct

from authz.match_keys import (
    KeyTable,
    Place,
    asked_of,
    asks,
    candidate_tables,
    engine_table,
    facts_of,
    in_elements_of_1987,
    is_management,
    place_of,
    told_of,
)
from authz.match_ladder import Found, Ladder
from authz.privacy import PanKeys
from authz.wire import elements
from authz.wire.elements import BadElement
from authz.wire.networks import NETWORKS
from authz.wire.to_request import Unsupported
from iso8583.errors import PartError
from iso8583.message import Message
from iso8583.mti import response_to, without_repeat
from rules.facts import AuthorizationRequest, Increment

Question = AuthorizationRequest | Increment  # what is answered with an approval code

# Every key of every request is kept until the end, 3 kB a request: 0.6 GB at most, and 20 s. An
# hour of a link with fifty requests a second fits.
REQUESTS_MAX = 200_000
LISTED_MAX = 20  # of what could not be judged; the count goes on
# Requests that wait for their answer in the file. Networks wait seconds; this is minutes of a link.
UNANSWERED_MAX = 10_000


class NotJudged(Struct, frozen=True):
    """A request that the engine would refuse: it has no key. Says where and why, never what."""

    place: Place
    trouble: str


class Survey:
    """Takes messages in the order of the file."""

    def __init__(self, network: str, keys: PanKeys, now_ms: int) -> None:
        self.engine, self.candidates = engine_table(), candidate_tables()
        self.ladder = Ladder()
        self.messages = self.requests = self.answers = self.management = 0
        self.others: Counter[str] = Counter()  # by MTI: requests that no story of the engine takes
        self.not_judged: list[NotJudged] = []
        self.not_judged_count = 0
        self._network, self._keys, self._now_ms = network, keys, now_ms
        self._version = NETWORKS[network].version
        self._asked: OrderedDict[tuple[str, str, str], list[Question]] = OrderedDict()

    @property
    def full(self) -> bool:
        return self.requests >= REQUESTS_MAX

    @property
    def tables(self) -> list[KeyTable]:
        return [self.engine, *self.candidates]

    def take(self, number: int, message: Message) -> None:
        """One message that could be read. `number`: of the message in the file, from 1."""
        self.messages += 1
        if is_management(message):
            self.management += 1
        elif asks(message):
            self._take_request(number, message)
        else:
            self.answers += 1
            self._take_answer(message)

    def found(self) -> dict[str, dict[str, Found]]:
        """By kind of message and rung. Once, when all have been taken."""
        return self.ladder.found()

    def _take_request(self, number: int, message: Message) -> None:
        self.requests += 1
        try:
            if message.mti[0] != self._version:
                raise Unsupported("of another version than the network's")
            facts = facts_of(message, self._network, self._keys, self._now_ms)
            if facts is None:
                self.others[message.mti] += 1
                return
            told = told_of(number, message, facts)
        except (BadElement, Unsupported, PartError) as error:
            self.not_judged_count += 1
            if len(self.not_judged) < LISTED_MAX:
                self.not_judged.append(NotJudged(place_of(number, message), str(error)))
            return
        is_repeat = self.engine.take(told)
        for table in self.candidates:
            table.take(told)
        if not is_repeat:
            # DE 90 as it is read: what stands in it of the acquirer is not among the facts.
            acquirer = elements.text(in_elements_of_1987(message), 90)[20:31]
            self.ladder.take(facts, acquirer)
            if isinstance(facts, AuthorizationRequest | Increment):
                self._wait_for_answer(message, facts)

    def _wait_for_answer(self, message: Message, facts: Question) -> None:
        key = (response_to(message.mti), asked_of(facts).stan, elements.text(message, 7))
        self._asked.setdefault(key, []).append(facts)
        if len(self._asked) > UNANSWERED_MAX:
            self._asked.popitem(last=False)

    def _take_answer(self, message: Message) -> None:
        """Its approval code belongs to the request of the same STAN, time and reference."""
        if not elements.text(message, 38):
            return
        first = without_repeat(message.mti)
        key = (first, elements.text(message, 11), elements.text(message, 7))
        rrn = elements.retrieval_reference(message)
        waiting = self._asked.get(key, [])
        for place, facts in enumerate(waiting):
            asked = asked_of(facts)
            if rrn in ("", asked.rrn) and self._is_of_card(message, asked.card_key):
                is_part = elements.text(message, 39) == NETWORKS[self._network].codes.partial
                self.ladder.approve(facts, elements.text(message, 38), is_part)
                del waiting[place]
                break
        if not waiting:
            self._asked.pop(key, None)

    def _is_of_card(self, message: Message, card_key: str) -> bool:
        """Whether it names that card, or none: not every answer does."""
        try:
            return self._keys.card_key(elements.card_number(message)) == card_key
        except BadElement:
            return True
