"""Brings Slack to the record: each card to its row's version, results into the thread, answers to their person.

At least once, and idempotent: what may have been posted already is looked for, by its metadata, before it is posted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from approvals.audit import Event
from approvals.closing import TARGET_STATES, Closing
from approvals.execution import Execution
from approvals.inquiries import MOST, Inquiries
from approvals.request import Request, State
from approvals.sentences import endings
from approvals.store import Store, later, seconds_between
from approvals.work import Card, Job, Work
from bot import results, views
from bot.people import UNREACHABLE, SlackDown, raise_if_down, slack_code
from bot.shown import Doubt, Facts, Message, Offer

log = logging.getLogger("bot.delivery")
ANSWER_MINUTES = 30  # so long Slack takes answers at a response_url
ME = "me"  # the fact: as whom Slack knows us
BROADCAST = frozenset({State.SUCCEEDED, State.FAILED, State.QUEUED, State.UNKNOWN})  # also shown in the channel itself
CHANNEL_SECONDS = 60.0  # an archived channel, or one without the bot: look again so often


@dataclass(frozen=True)
class CardStanding:
    """What a card shows besides its row: a pause, and how an unknown outcome is being closed."""

    execution: Execution
    closing: Closing
    inquiries: Inquiries

    def of(self, request: Request) -> Doubt | None:
        if request.state is State.APPROVED and (stopped := self.execution.stopped()):
            return Doubt(stopped=stopped)
        if request.state not in {State.UNKNOWN, State.QUEUED}:
            return None
        reading = self.closing.last_reading(request)
        proposal = self.closing.proposal(request)
        return Doubt(
            looks_at=self._looks_at(request),
            found=str(reading["found"]) if reading else None,
            seen=str(reading["children"] or reading["state"] or "") if reading else "",
            proposal=(proposal.proposed_by, proposal.outcome, proposal.evidence) if proposal else None,
            offers_resend=self.closing.offers_resend(request),
        )

    def _looks_at(self, request: Request) -> str:
        """When the bot will look what became of it: after the settle window, and when Ottu allows another inquiry."""
        settles_at = later(request.state_at, seconds=self.closing.policy.timing.settle_seconds)
        if request.operation in TARGET_STATES or request.session_id is None:
            return settles_at
        wait_seconds = self.inquiries.wait_seconds("session", request.session_id, request.session_id, most=MOST)
        return max(settles_at, later(self.inquiries.store.now(), seconds=wait_seconds))


class Delivery:
    """Cards, notices and private answers, from the jobs of the worker."""

    def __init__(self, client: AsyncWebClient, store: Store, work: Work, *, host: str, standing: CardStanding) -> None:
        self.client = client
        self.store = store
        self.work = work
        self.host = host
        self.standing = standing

    def facts(self, request: Request) -> Facts:
        approvals, events = self.store.approvals(request.id), list(self.store.events(request.id))
        before = self.standing.closing.service.done_before(request)
        return Facts(request, approvals, events, self.host, self.standing.of(request), before)

    def _request(self, job: Job) -> Request:
        request = self.store.get(str(job.payload["request"]))
        if request is None:
            raise LookupError(f"no request for {job.key}")
        return request

    # --- the card

    async def card(self, job: Job) -> None:
        """Bring the card of a request to its row's version. Raises SlackDown to be called again."""
        request = self._request(job)
        place = self.work.card(request.id)
        if place and place.ts and place.shown_version >= request.version:
            return
        if place and place.ts is None and place.posting_at:
            place = await self._found(place)
        message = views.card(self.facts(request))
        if place is None or place.ts is None:
            await self._post_card(job, request, message)
        else:
            await self._update_card(job, request, place.ts, place.channel, message)

    async def _post_card(self, job: Job, request: Request, message: Message) -> None:
        if not self.work.holds(job):
            return  # this process was frozen: another has posted it, and nobody would look after what we begin here
        self.work.card_begins(request.id, request.channel)
        try:
            ts = await self.post(request.channel, message)
        except SlackApiError as error:
            self.work.card_not_posted(request.id)
            text = endings.card_not_posted(request_id=request.id, error=slack_code(error))
            self.answer_requester(f"no_card:{request.id}", request, text)
            raise_unless_gone(error)
        else:
            self._shown(request, ts)
            self.work.add(f"link:{request.id}:{ts}", "link", {"request": request.id})

    async def _update_card(self, job: Job, request: Request, ts: str, channel: str, message: Message) -> None:
        try:
            await self._call(
                "chat_update",
                channel=channel,
                ts=ts,
                text=message.text,
                blocks=message.blocks,
                metadata=message.metadata,
            )
        except SlackApiError as error:
            if slack_code(error) != "message_not_found":
                raise_unless_gone(error)
                return
            await self._post_card(job, request, message)  # somebody deleted the card
            return
        self._shown(request, ts)

    def _shown(self, request: Request, ts: str) -> None:
        """Slack shows that version. Where this process was frozen, others have brought the card further meanwhile."""
        with self.store.transaction():  # else nobody would bring the card further where the second half fails
            self.work.card_shown(request.id, ts=ts, version=request.version)
            current = self.store.get(request.id)
            if current is not None and current.version > request.version:
                self.work.show_card(request.id)

    async def link(self, job: Job) -> None:
        """Keep the card's permanent link, for lists."""
        card = self.work.card(str(job.payload["request"]))
        if card and card.ts:
            try:
                answer = await self._call("chat_getPermalink", channel=card.channel, message_ts=card.ts)
            except SlackApiError:
                return  # lists do without the link
            self.work.card_link(card.request_id, str(answer["permalink"]))

    async def _found(self, place: Card) -> Card | None:
        """The card that a process posted before it could write down where; None where there is none."""
        oldest = later(place.posting_at or "", seconds=-60)
        for message in await self._messages("conversations_history", channel=place.channel, oldest=oldest):
            if self._tells(message, "ottu_request").get("request") == place.request_id:
                self.work.card_shown(place.request_id, ts=str(message["ts"]), version=0)
                return self.work.card(place.request_id)
        return None

    async def _messages(self, method: str, *, oldest: str, **where: str) -> list[dict[str, Any]]:
        seconds = f"{seconds_between('1970-01-01T00:00:00.000Z', oldest):.6f}"
        try:
            answer = await self._call(method, oldest=seconds, limit=200, include_all_metadata=True, **where)
        except SlackApiError as error:
            log.warning("history_unreadable", extra={"facts": {"error": slack_code(error)}})
            return []  # a second card does no harm: its buttons are guarded moves
        return list(answer.get("messages") or [])

    def _tells(self, message: dict[str, Any], event_type: str) -> dict[str, Any]:
        """What the metadata of one of our own messages says; of anybody else's, nothing."""
        me = self.work.fact(ME) or {}
        ours = (me.get("user") and message.get("user") == me["user"]) or (
            me.get("bot") and message.get("bot_id") == me["bot"]
        )
        metadata = message.get("metadata") or {}
        payload = metadata.get("event_payload") if ours and metadata.get("event_type") == event_type else None
        return payload if isinstance(payload, dict) else {}

    # --- notices: results in the thread, refusals to their requester

    async def notice(self, job: Job) -> None:
        """Tell how a request ended: in the card's thread, or privately where it never had a card."""
        request, event = self._request(job), self.store.event(int(job.payload["seq"]))
        if request.digest is None:
            text = results.without_card(request, State(event.to_state or ""))
            self.answer_requester(job.key, request, Offer(text, again=request.id))
            return
        card = self.work.card(request.id)
        if card is None or card.ts is None:
            raise SlackDown("the card is not there yet", 0.3)
        message = results.result(self.facts(request), event)
        if event.to_state == State.UNKNOWN:
            self.answer_later(job.key, request.requester, results.told(self.facts(request), event))
        if job.tries > 1 and await self._is_told(card, event):
            return
        try:
            await self.post(
                card.channel, message, thread_ts=card.ts, reply_broadcast=State(event.to_state or "") in BROADCAST
            )
        except SlackApiError as error:
            if slack_code(error) == "thread_not_found":  # somebody deleted the card: it is posted again first
                self._show_again(request)
                raise SlackDown("the card was deleted") from None
            raise_unless_gone(error)

    async def _is_told(self, card: Card, event: Event) -> bool:
        """Did an earlier try post it, without our learning of it?"""
        messages = await self._messages(
            "conversations_replies", channel=card.channel, ts=card.ts or "", oldest=later(event.at, seconds=-60)
        )
        return any(self._tells(message, "ottu_result").get("seq") == event.seq for message in messages)

    async def call(self, job: Job, request: Request, deciders: list[str]) -> None:
        """Ask those who can decide: each by direct message, or all in the card's thread."""
        text = results.call(request, deciders, again=job.payload["how"] == "remind")
        card = self.work.card(request.id)
        if card is None or card.ts is None:
            raise SlackDown("the card is not there yet", 0.3)
        if job.payload["how"] == "dm":
            link = f"\n{card.permalink}" if card.permalink else ""
            for user in deciders:
                self.answer_later(f"{job.key}:{user}", user, text + link)
            return
        try:
            await self.post(card.channel, Message(text), thread_ts=card.ts)
        except SlackApiError as error:
            raise_unless_gone(error)

    async def alarm(self, job: Job) -> None:
        """Tell an alarm in the audit channel."""
        try:
            await self.post(self._alarms_to, Message(results.alarm(self.store.event(int(job.payload["seq"])))))
        except SlackApiError as error:
            raise_unless_gone(error)

    async def head(self, job: Job, channel: str) -> None:
        """Tell the head of the record, once: Slack may have taken it before without our learning of it."""
        if job.tries > 1:
            oldest = later(str(job.payload["since"]), seconds=-60)  # our clock and Slack's
            messages = await self._messages("conversations_history", channel=channel, oldest=oldest)
            if any(self._tells(message, "ottu_head") for message in messages):
                return
        try:
            await self.post(channel, results.head(*self.store.head()))
        except SlackApiError as error:
            raise_unless_gone(error)

    @property
    def _alarms_to(self) -> str:
        channels = self.standing.execution.policy.channels
        return channels.audit or channels.requests[0]

    def show_all_again(self, state: State) -> None:
        """Cards of that state show something that is not in their rows: bring them up to date."""
        for request in self.store.in_states(state):
            self._show_again(request)

    def _show_again(self, request: Request) -> None:
        self.work.card_outdated(request.id)
        self.work.show_card(request.id)

    # --- private answers

    def answer_later(
        self,
        key: str,
        user: str,
        text: str | list[str] | Offer,
        *,
        response_url: str | None = None,
        since: str | None = None,
    ) -> None:
        """Put an answer down for one person, in so many messages. `since`: when Slack gave the response_url."""
        until = later(since or self.store.now(), minutes=ANSWER_MINUTES - 1)
        self._put_down(key, {"user": user, "response_url": response_url, "until": until}, text)

    def _put_down(self, key: str, how: dict[str, Any], text: str | list[str] | Offer) -> None:
        if isinstance(text, Offer):
            how, text = {**how, "again": text.again}, text.text
        first, *more = [text] if isinstance(text, str) else text
        self.work.add(f"answer:{key}", "answer", {**how, "text": first, "more": more})

    def answer_requester(self, key: str, request: Request, text: str | Offer) -> None:
        """Answer the command that a request came from."""
        command = self.work.find(request.origin)
        url = str(command.payload.get("response_url") or "") if command else ""
        self.answer_later(key, request.requester, text, response_url=url or None, since=request.created_at)

    async def answer(self, job: Job) -> None:
        """By response_url while it is valid, else as a direct message; then what more there is to say, in its order."""
        message = results.private(str(job.payload["text"]), job.payload.get("again"))
        if not await self._by_response_url(job, message):
            try:
                await self.post(str(job.payload["user"]), message)
            except SlackApiError as error:
                log.warning("answer_not_delivered", extra={"facts": {"error": slack_code(error)}})
        if more := job.payload.get("more"):
            self._put_down(f"{job.key.removeprefix('answer:')}:{len(more)}", job.payload, more)

    async def _by_response_url(self, job: Job, message: Message) -> bool:
        """Did Slack take it there?"""
        url, until = job.payload.get("response_url"), job.payload.get("until")
        until = until or later(job.created_at, minutes=ANSWER_MINUTES - 1)
        if not url or seconds_between(self.store.now(), str(until)) <= 0 or job.tries > 2:
            return False
        try:
            return await respond(str(url), message)
        except UNREACHABLE as error:
            raise SlackDown(type(error).__name__) from None

    # --- Slack

    async def post(self, channel: str, message: Message, **more: Any) -> str:
        """Post a message; its `ts`. Raises SlackApiError where Slack says no, SlackDown where it cannot be asked."""
        answer = await self._call(
            "chat_postMessage",
            channel=channel,
            text=message.text,
            blocks=message.blocks or None,
            metadata=message.metadata,
            parse="none",  # what a person typed links nothing and calls nobody
            link_names=False,
            unfurl_links=False,
            unfurl_media=False,
            **more,
        )
        return str(answer["ts"])

    async def publish(self, user: str, view: dict[str, Any]) -> None:
        """Show one person's App Home. Raises as `post` does."""
        await self._call("views_publish", user_id=user, view=view)

    async def _call(self, method: str, **arguments: Any) -> Any:
        try:
            return await getattr(self.client, method)(**arguments)
        except SlackApiError as error:
            raise_if_down(error)
            raise
        except UNREACHABLE as error:
            raise SlackDown(type(error).__name__) from None


async def respond(url: str, message: Message) -> bool:
    """Answer a command or click at its response_url, for its person alone: did Slack take it?"""
    answered = await AsyncWebhookClient(url, timeout=5, retry_handlers=[]).send(
        text=message.text, blocks=message.blocks or None, response_type="ephemeral", replace_original=False
    )
    return answered.status_code == 200


GONE = frozenset({"is_archived", "not_in_channel", "channel_not_found"})


def raise_unless_gone(error: SlackApiError) -> None:
    """Slack said no: look again in a minute, because an administrator can mend it. The money never waits for that."""
    code = slack_code(error)
    log.error("not_delivered", extra={"facts": {"error": code}})
    raise SlackDown(code, CHANNEL_SECONDS if code in GONE else CHANNEL_SECONDS * 5) from None
