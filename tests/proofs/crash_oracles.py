"""What must hold after a trial, whatever broke on the way: the record, the ledger and the channel tell one story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from approvals.request import Request, State
from approvals.store import Store, seconds_between
from approvals.verify import differences
from tests.proofs.crash_play import STUCK, Play, reading
from tests.proofs.crash_points import Point
from tests.proofs.crash_trial import DEADLINE_SECONDS, SETTLE_SECONDS

CLAIM_SECONDS = max(1.0, 2 * DEADLINE_SECONDS)  # how old a claim may be when its request is written
LATE_SECONDS = CLAIM_SECONDS + DEADLINE_SECONDS + 0.5  # with the connecting, and what a busy machine takes
CLOCK_SECONDS = 0.002  # of rounding, where two times are compared
TOLD = {"refused", "rejected", "expired", "lapsed", "succeeded", "failed", "queued", "unknown"}  # by a result each
NEVER_MOVED = {State.REFUSED, State.REJECTED, State.WITHDRAWN, State.EXPIRED, State.LAPSED, State.FAILED}
KINDS = ("double movements", "lost requests or clicks", "false success or failure", "breaks of the chain")
CARDS, RESTORED, LATE = "cards that differ", "mistaken for a restore", "sent too late"
TOO_SOON = "sent again too soon"
UNTOLD = "webhooks refused"
ALL_KINDS = (*KINDS, CARDS, RESTORED, LATE, TOO_SOON, UNTOLD, STUCK)


def broken(play: Play) -> Iterator[tuple[str, str]]:
    """What does not hold: (which of the promises, in words). The processes of the trial are gone."""
    with reading(play.world.folder / "bot.db") as store:
        if store is None:
            yield KINDS[1], "there is no record"
            return
        requests = store.select("1")
        yield from _chain(store)
        yield from _lost(play, store, requests)
        yield from _webhooks(play)
        yield from _shown(play, store)
        for request in requests:
            yield from _money(play, store, request)
            yield from _cards(play, store, request)
            if request.restored:
                yield RESTORED, request.id
        for event in store.events():
            if event.kind in {"alarm", "gave_up", "restored"}:
                is_restore = event.kind == "restored" or "put back from a copy" in event.data
                yield RESTORED if is_restore else STUCK, f"{event.kind}: {event.data}"


def _chain(store: Store) -> Iterator[tuple[str, str]]:
    for difference in differences(store):
        yield KINDS[3], difference


def _lost(play: Play, store: Store, requests: list[Request]) -> Iterator[tuple[str, str]]:
    if len(requests) != 1:
        said = "accepted" if play.accepted_command else "not accepted"
        yield KINDS[1], f"{len(requests)} requests of one command, which was {said}"
    for request in requests:
        given = [approval.person for approval in store.approvals(request.id)]
        for person in sorted(play.accepted_clicks - set(given)):
            yield KINDS[1], f"{person}'s approval was accepted and is not there"
        if len(given) != len(set(given)):
            yield KINDS[1], f"one person's approval counts twice: {given}"


def _money(play: Play, store: Store, request: Request) -> Iterator[tuple[str, str]]:
    """The row against the ledger."""
    moved = [movement for movement in play.stage.ottu.ledger if movement.order_no == play.order_no]
    payment = play.stage.ottu.book.find(order_no=play.order_no)
    left = Counter(child.state for child in payment.children) if payment else Counter()
    scenario = play.scenario
    if len(moved) > 1 or left.total() > 1:
        yield KINDS[0], f"{len(moved)} movements, {dict(left)}"
    for movement in moved:
        if (movement.kind, movement.amount) != (scenario.kind, scenario.amount):
            yield KINDS[0], f"{movement.kind} {movement.amount}"
        if movement.tracking_key != request.tracking_key:
            yield KINDS[0], "moved under another Tracking-Key than the record has"
    done = play.is_done()
    if request.state is State.SUCCEEDED and not done:
        yield KINDS[2], f"the row says succeeded, and nothing was done ({request.detail})"
    if request.state in NEVER_MOVED and (done or left.total()):
        yield KINDS[2], f"the row says {request.state} ({request.detail}), and it was done: {dict(left)}"
    if request.state is State.QUEUED and not left["refund_queued"] and (play.is_told() or not play.bank_paid):
        yield KINDS[2], f"the row says queued, and nothing is: {dict(left)}"
    if request.is_open and request.state is not State.QUEUED:
        yield STUCK, f"{request.state}: {request.detail}"
    yield from _late(play, store, request)
    yield from _sent_again(store, request)


def _sent_again(store: Store, request: Request) -> Iterator[tuple[str, str]]:
    """An unknown outcome is sent again only after the settle window, and a reading of it that found nothing new."""
    unknown_at, found, attempt = "", "", 0
    for event in store.events(request.id):
        if event.kind == "reading":
            found = event.facts["found"] if event.facts["attempt"] == attempt else "another attempt"
        if event.to_state == event.from_state:
            continue
        if event.to_state == State.UNKNOWN:
            unknown_at, found = event.at, ""
        elif event.to_state == State.EXECUTING:
            if event.from_state == State.UNKNOWN:
                waited_seconds = seconds_between(unknown_at, event.at)
                if waited_seconds < SETTLE_SECONDS - CLOCK_SECONDS:
                    yield TOO_SOON, f"{waited_seconds:.3f} s after attempt {attempt} became unknown"
                if found != "nothing_new":
                    yield TOO_SOON, f"after a reading of attempt {attempt} that found {found or 'nothing at all'}"
            attempt = event.facts["set"]["attempt"]


def _webhooks(play: Play) -> Iterator[tuple[str, str]]:
    """Each was taken, unless nobody was there: a bot that refuses Ottu's webhooks, or never answers, would be right by
    reading alone."""
    busy = {"503"} if play.trial.blow == "freeze" else set()  # where the frozen one holds the database's lock
    sent = play.stage.ottu.webhooks.sent
    taken = [one.body for one in sent if one.outcome == "200"]
    for one in sent:
        refused = one.outcome.isdecimal() and one.outcome not in {"200", *busy}
        if refused or (not play.trial.strikes and one.body not in taken):
            yield UNTOLD, f"{one.outcome} to the webhook of {one.body['operation']}: {one.body['result']}"
    if play.bank_paid and not play.trial.strikes and not play.is_told() and play.trial.line == "http":
        yield UNTOLD, "the bank paid, and the bot was not told"


def _late(play: Play, store: Store, request: Request) -> Iterator[tuple[str, str]]:
    """Each operation that reached Ottu was sent under a claim; by a process that was frozen, soon after it.

    A freeze right before the socket's own call is the exception: no program can look at the clock after that.
    """
    claims = [event.at for event in store.events(request.id) if event.to_state == State.EXECUTING]
    sent = [one for one in play.stage.ottu.requests if one.path.endswith("/operation/")]
    if len(sent) > len(claims):
        yield LATE, f"{len(sent)} sends under {len(claims)} claims"
    points = [Point.read(strike) for strike in play.trial.strikes]
    may_be_late = play.trial.blow == "kill" or any(one.is_the_send and one.when == "before" for one in points)
    for one in sent:
        ages = [seconds_between(at, one.at) for at in claims]
        if not any(age >= -CLOCK_SECONDS for age in ages):
            yield LATE, "sent before its claim"
        elif not may_be_late and min(age for age in ages if age >= -CLOCK_SECONDS) > LATE_SECONDS:
            yield LATE, f"sent {min(age for age in ages if age >= 0):.2f} s after its claim"


def _shown(play: Play, store: Store) -> Iterator[tuple[str, str]]:
    """What the channel shows happened: each event that a card or a result names is in the record, as it was told."""
    events = {(event.request_id, event.seq, event.hash): event for event in store.events()}
    results = play.world.results()
    for message in (*play.world.cards(), *results):
        said = (message.metadata or {})["event_payload"]
        event = events.get((said["request"], said["seq"], said["head"]))
        if event is None or (message in results and event.to_state != said["state"]):
            yield CARDS, f"{said} was told, and is not in the record"


def _cards(play: Play, store: Store, request: Request) -> Iterator[tuple[str, str]]:
    """One card, at the row's version; each result once; the last move that people are told of is among them."""
    if request.digest is None:
        return
    cards = [(card.metadata or {})["event_payload"] for card in play.world.cards() if request.id in str(card.metadata)]
    if [(card["version"], card["state"]) for card in cards] != [(request.version, request.state.value)]:
        yield CARDS, f"{cards} for version {request.version}, {request.state}"
    told = Counter((one.metadata or {})["event_payload"]["seq"] for one in play.world.results_of(request.id))
    for seq, count in told.items():
        if count > 1:
            yield CARDS, f"the result of event {seq} stands there {count} times"
    due = [
        event.seq for event in store.events(request.id) if event.to_state in TOLD and event.from_state != event.to_state
    ]
    for seq in due:
        if not told[seq]:
            yield CARDS, f"the result of event {seq} is missing"
