"""The channels against the record: which cards, results, heads and alarms differ, are missing, or are nobody's? Pure.

Reads only what `Record` answers and the messages that were read; knows no Slack and no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from approvals.audit import Event
from approvals.request import Request, State
from bot.channel_facts import Fact, alarm_facts, card_facts, result_facts, same_alarm, same_words
from bot.channel_findings import Beyond, Difference, Findings, Reach, Terms, short
from bot.channel_messages import ALARM, CARD, HEAD, RESULT, Message, form_of, is_pointer, read
from bot.channel_record import History, Record, Unreadable
from bot.delivery import BROADCAST
from bot.shown import Facts

THINGS = {CARD: "card", RESULT: "result", HEAD: "head", ALARM: "alarm"}
# What altered events can raise when they are read; `audit verify` names the event.
DAMAGED = (Unreadable, KeyError, TypeError, ValueError, AttributeError, StopIteration, IndexError)


@dataclass
class _Told:
    """Our own messages about one request."""

    cards: list[Message] = field(default_factory=list)
    results: dict[int, list[Message]] = field(default_factory=dict)  # by the event that they tell of


def compare(messages: Iterable[Message], record: Record, reaches: Mapping[str, Reach], terms: Terms) -> Findings:
    """All that differs. `reaches`: every channel that was to be read, also those that could not be."""
    return _Comparison(record, reaches, terms).of(messages)


class _Comparison:
    def __init__(self, record: Record, reaches: Mapping[str, Reach], terms: Terms) -> None:
        self.record = record
        self.reaches = reaches
        self.terms = terms
        self.found = Findings(reaches=reaches)
        self.told: dict[str, _Told] = {}
        self.alarms: set[int] = set()
        self.card_of_ts: dict[tuple[str, str], str] = {}

    def of(self, messages: Iterable[Message]) -> Findings:
        for message in sorted(messages, key=lambda one: (float(one.ts), one.channel)):
            self._sort(message)
        requests = self.record.requests()
        for request in requests:
            self._request(request)
        for unknown in sorted(self.told.keys() - {request.id for request in requests}):
            self._unknown_request(unknown)
        for event in self.record.alarms():
            self._alarm_is_told(event)
        return self.found

    # --- sorting the messages

    def _sort(self, message: Message) -> None:
        form = form_of(message)
        thing = THINGS[form]
        request = short(message.payload.get("request") or read(message.text, message.blocks).about) or None
        if not message.ours:
            who = short(message.author)
            said = f"a {thing} in the bot's format that {who} posted, not the bot"
            self._differ(message, "foreign", request, said, shown=who)
            return
        self.found.count(thing)
        if form == HEAD:
            self._head(message)
        elif form == ALARM:
            self._alarm(message)
        elif request is None:
            self._differ(message, "unrecorded", None, f"a {thing} that names no request")
        elif form == CARD:
            self.card_of_ts[(message.channel, message.ts)] = request
            self.told.setdefault(request, _Told()).cards.append(message)
        else:
            seq = self._seq(message)
            self.told.setdefault(request, _Told()).results.setdefault(seq, []).append(message)

    def _seq(self, message: Message) -> int:
        """The event that a message names: in its metadata, else visibly; 0 where in neither."""
        seq = message.payload.get("seq")
        if not isinstance(seq, int):
            shown = sorted(read(message.text, message.blocks).records)
            seq = int(shown[0].partition(":")[0]) if shown else 0
        return seq

    # --- heads and alarms

    def _head(self, message: Message) -> None:
        """A head, of the day or of anything else: the chain must contain it."""
        named = read(message.text, message.blocks).records
        if message.event_type:
            seq, head = message.payload.get("seq"), str(message.payload.get("head") or "")
            if not self.record.contains(seq, head):
                self._not_contained(message, None, f"{seq}:{head}")
            elif any(not f"{seq}:{head}".startswith(one) for one in named):
                self._fact(message, None, Fact("record", named, f"{seq}:{head[:8]}"))
        self._is_as_posted(message, None)
        for one in sorted(named):
            seq_shown, _, head_shown = one.partition(":")
            if not self.record.contains(int(seq_shown), head_shown):
                self._not_contained(message, None, one)

    def _alarm(self, message: Message) -> None:
        event = self.record.event(self._seq(message))
        if event is None or event.kind != "alarm":
            shown = short(read(message.text, message.blocks).records)
            self._differ(message, "unrecorded", None, f"an alarm that the record does not contain: {shown}")
            return
        self.alarms.add(event.seq)
        self._is_as_posted(message, event.request_id)
        found = alarm_facts(message, event)
        for fact in found:
            self._fact(message, event.request_id, fact)
        if not found and not same_alarm(message, event):
            self._other_words(message, event.request_id)

    def _alarm_is_told(self, event: Event) -> None:
        if event.seq in self.alarms or self._is_late(event):
            return
        if not self._is_beyond("alarm", event.request_id, self.terms.alarms_to, event):
            said = f"no channel shows the alarm of event {event.seq}"
            self._miss("alarm", event.request_id, self.terms.alarms_to, said)

    # --- one request

    def _unknown_request(self, request_id: str) -> None:
        told = self.told[request_id]
        for message in [*told.cards, *(one for these in told.results.values() for one in these)]:
            said = f"a {THINGS[form_of(message)]} of {short(request_id)}, which the record does not contain"
            self._differ(message, "unrecorded", request_id, said)

    def _request(self, request: Request) -> None:
        told = self.told.get(request.id, _Told())
        try:
            history = self.record.history(request.id)
            due = history.card_from
            noticed = history.noticed()
            if due is not None or told.cards:
                self._cards(request, history, due, told)
            self._results(request, history, noticed, told)
        except DAMAGED:
            said = "its events make no request, so that nothing can be compared with it; `audit verify` says more"
            self.found.differences.append(Difference("unrecorded", "card", said, request.id))

    def _cards(self, request: Request, history: History, due: Event | None, told: _Told) -> None:
        cards = [card for card in told.cards if not is_pointer(card, told.cards)]
        if not cards:
            if (
                due is not None
                and not self._is_late(due)
                and not self._is_beyond("card", request.id, request.channel, due)
            ):
                self._miss("card", request.id, request.channel, "the channel has no card of it")
            return
        *older, current = cards
        for card in older:
            said = (
                f"one of {len(cards)} cards of the same request, none a pointer to another; the newest is {current.ts}"
            )
            self._differ(card, "doubled", request.id, said)
        if current.channel != request.channel:
            self._differ(current, "misplaced", request.id, f"its card belongs in {request.channel}")
        version = self._version(current, history)
        try:
            facts = history.at(version)
        except Unreadable:
            if not self._knows(current):
                self._not_contained(current, request.id, short(read(current.text, current.blocks).records))
                return
            said = f"its events make no version {version}, which the card shows; `audit verify` says more"
            self._differ(current, "unrecorded", request.id, said, fact="version")
            return
        self._card(current, facts, history)

    def _version(self, card: Message, history: History) -> int:
        """The version that a card shows: by its metadata, else by the event that it names; 0 where it names none."""
        version = card.payload.get("version")
        if isinstance(version, int):
            return version
        seq = self._seq(card)
        return next((event.version or 0 for event in history.moves if event.seq == seq), 0)

    def _card(self, card: Message, facts: Facts, history: History) -> None:
        found = card_facts(card, facts, self.record.pausing, with_metadata=self.terms.with_metadata)
        self._facts(card, facts, found, None)
        behind = [e for e in history.moves if (e.version or 0) > facts.request.version and not self._is_late(e)]
        if behind:
            said = f"the card shows version {facts.request.version}, the record is at version {behind[-1].version}"
            self._differ(card, "behind", facts.request.id, said)

    def _results(self, request: Request, history: History, noticed: list[Event], told: _Told) -> None:
        by_seq = {event.seq: event for event in noticed}
        for seq, event in by_seq.items():
            if seq not in told.results:
                self._result_is_missing(request, event, told)
        for seq, messages in told.results.items():
            if seq not in by_seq:
                for message in messages:
                    self._wrong_event(message, request.id, seq)
                continue
            self._result(messages[0], history, by_seq[seq])
            for message in messages[1:]:
                self._differ(message, "doubled", request.id, f"a second result of event {seq}")

    def _result_is_missing(self, request: Request, event: Event, told: _Told) -> None:
        if self._is_late(event) or self._is_beyond("result", request.id, request.channel, event):
            return
        if not told.cards and State(event.to_state or "") not in BROADCAST:
            asked = self.record.history(request.id).moves[0]
            if self._is_beyond("result", request.id, request.channel, asked):
                return  # it stood only in a thread whose first message is gone
        self._miss("result", request.id, request.channel, f"no message tells of event {event.seq}, {event.to_state}")

    def _wrong_event(self, message: Message, request_id: str, seq: int) -> None:
        event = self.record.event(seq)
        if event is None or not self._knows(message):
            named = short(read(message.text, message.blocks).records or [str(seq)])
            self._not_contained(message, request_id, named)
            return
        said = f"a result of event {seq}, of which none is due: the record has {event.kind} there"
        self._differ(message, "unrecorded", request_id, said)

    def _result(self, message: Message, history: History, event: Event) -> None:
        facts = history.at(event.version or 0)
        found = result_facts(message, facts, event, with_metadata=self.terms.with_metadata)
        for later in (move for move in history.moves if found and move.seq > event.seq):  # it was posted after that
            of_later = history.at(later.version or 0)
            if not result_facts(message, of_later, event, with_metadata=self.terms.with_metadata):
                facts, found = of_later, []
        self._facts(message, facts, found, event)
        self._is_as_posted(message, facts.request.id)
        of = self.card_of_ts.get((message.channel, message.thread_ts or ""))
        if message.thread_ts is None or of not in (None, facts.request.id):
            self._differ(message, "misplaced", facts.request.id, "a result outside the thread of its card")

    # --- saying so

    def _facts(self, message: Message, facts: Facts, found: list[Fact], event: Event | None) -> None:
        for fact in found:
            self._fact(message, facts.request.id, fact)
        if not found and not same_words(message, facts, event):
            self._other_words(message, facts.request.id)

    def _other_words(self, message: Message, request_id: str | None) -> None:
        thing = THINGS[form_of(message)]
        said = "every fact agrees, the words around them are not those of this version of the program"
        self.found.wording.append(
            Difference("wording", thing, said, request_id, channel=message.channel, ts=message.ts)
        )

    def _is_as_posted(self, message: Message, request_id: str | None) -> None:
        """The bot edits cards and nothing else: an edited text may say anything around the facts."""
        if message.edited:
            said = f"a message ({THINGS[form_of(message)]}) that was edited after it was posted"
            self._differ(message, "edited", request_id, said)

    def _fact(self, message: Message, request_id: str | None, fact: Fact) -> None:
        shown, recorded = short(fact.shown), short(fact.recorded)
        said = f"{fact.name}: it shows {shown}; the record says {recorded}"
        if fact.name in {"record", "metadata head"} and not self._knows(message):
            said += "; the chain does not contain what it shows"
        self._differ(message, "differs", request_id, said, fact=fact.name, shown=shown, recorded=recorded)

    def _knows(self, message: Message) -> bool:
        """Does the chain contain every head that a message names?"""
        named = [one.partition(":")[::2] for one in read(message.text, message.blocks).records]
        heads = [(int(seq), head) for seq, head in named]
        if message.payload.get("head"):
            heads.append((self._seq(message), str(message.payload["head"])))
        return all(self.record.contains(seq, head) for seq, head in heads)

    def _not_contained(self, message: Message, request_id: str | None, named: str) -> None:
        thing = THINGS[form_of(message)]
        said = f"a {thing} that names {short(named)}, which the chain does not contain"
        self._differ(message, "unrecorded", request_id, said, fact="record", shown=short(named))

    def _differ(self, message: Message, what: str, request_id: str | None, sentence: str, **more: str) -> None:
        thing = THINGS[form_of(message)]
        place = {"channel": message.channel, "ts": message.ts}
        self.found.differences.append(Difference(what, thing, sentence, request_id, **more, **place))

    def _miss(self, thing: str, request_id: str | None, channel: str | None, sentence: str) -> None:
        self.found.differences.append(Difference("missing", thing, sentence, request_id, channel=channel))

    def _is_late(self, event: Event) -> bool:
        """Did it happen after what was read, or so shortly before that a message may be on its way?"""
        return _seconds(event) > self.terms.until

    def _is_beyond(self, thing: str, request_id: str | None, channel: str, event: Event) -> bool:
        """Can it not be in what was read? Then that is noted."""
        reach, why = self.reaches.get(channel), ""
        if reach is None or reach.unreadable:
            why = f"the channel cannot be read: {reach.unreadable}" if reach else "the channel was not read"
        elif not self.terms.whole and (reach.oldest is None or _seconds(event) < reach.oldest):
            why = "older than the oldest message that was reached"
        if why:
            self.found.beyond.append(Beyond(thing, request_id, channel, why))
        return bool(why)


def _seconds(event: Event) -> float:
    return datetime.fromisoformat(event.at).timestamp()
