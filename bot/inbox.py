"""What the worker does with each command, click and form: who is this, may they, call the service, answer.

The network (who is this?) is asked first; then all that follows from the payload is one transaction: the decision, its
event, the answer, and the end of the job. So a payload is decided once, whenever the process stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from approvals.closing import Closing
from approvals.execution import Execution
from approvals.policy import Members, Policy
from approvals.request import OPEN, Refusal, Request, State, Submission
from approvals.sentences import asking, deciding, private
from approvals.sentences import closing as closing_words
from approvals.sentences import request_form as form_words
from approvals.service import CLICK_COUNTS_SECONDS, Service
from approvals.store import Store, is_within
from approvals.work import Job, Work
from bot import answers, commands, request_form
from bot.delivery import Delivery
from bot.details import Known, details
from bot.homes import wake
from bot.inquire import Inquirer
from bot.people import People, SlackDown
from bot.shown import Offer
from bot.words import literal, sentence

LONGEST_NAME = 20  # of a request that a button names: no more of what is made up goes into the record
RESUME_ASKED = "resume_asked"  # the fact: who has read what would be sent, and when
CLOCK_SECONDS = 1.0  # of the future is what a clock that is corrected has written; more than that is no age
RESUME_SECONDS = 60.0
OF_GROUPS = frozenset({"not_allowed", "no_power"})  # refusals that a user group may explain which Slack does not tell
APP = "app_id"  # the fact: by which id Slack knows this app
Answer = str | list[str] | Offer  # one private message, or several pages


class Inbox:
    """Decides the payloads that the listeners wrote down."""

    def __init__(
        self,
        *,
        service: Service,
        execution: Execution,
        closing: Closing,
        is_settled: Callable[[Request], bool],
        inquirer: Inquirer,
        people: People,
        delivery: Delivery,
    ) -> None:
        self.service = service
        self.execution = execution
        self.closing = closing
        self.is_settled = is_settled
        self.inquirer = inquirer
        self.people = people
        self.delivery = delivery
        self.store: Store = service.store
        self.work: Work = service.work

    @property
    def policy(self) -> Policy:
        """The policy that counts now."""
        return self.service.policy

    # --- commands

    async def on_command(self, job: Job) -> None:
        """A command, typed or from the form, accepted and on disk."""
        command = _command_of(job)
        members = await self._vouched(job, type(command).__name__.lower())
        if members is None:
            return
        if isinstance(command, commands.Inquire):
            await self._inquire(job, command, members)
            return
        named = _named(command)
        self._decide(job, type(command).__name__.lower(), lambda: self._command(job, command, members), named)

    async def _vouched(self, job: Job, wanted: str) -> Members | None:
        """The groups as they are now; None where the person may do nothing here, which they have been told."""
        try:
            await self.people.vouch(str(job.payload["user"]), str(job.payload["team"] or ""))
        except Refusal as refusal:
            self._refuse(job, wanted, refusal)
            return None
        return await self.people.members_now(lambda: self.policy)

    def _command(self, job: Job, command: commands.Command, members: Members) -> Answer | None:
        """Do what a command says; the answer for the person, or None where the card or a notice is the answer."""
        user = str(job.payload["user"])
        match command:
            case commands.Ask():
                request = self._ask(job, command, members)
                return answers.got_it(command, request.channel) if "ask" in job.payload else None
            case commands.Withdraw(target=target):
                return self._withdrawn(self.service.withdraw(self._target(target).id, user))
            case commands.Reject(request=request_id, reason=reason):
                self.service.reject(request_id, user, reason, members)
                return private.rejected(request_id=request_id)
            case commands.Close(request=request_id, outcome=outcome, evidence=evidence):
                return self._close(request_id, user, outcome, evidence, members)
            case commands.Pause(reason=reason):
                self._power("pause", user, members)
                self.execution.pause(user, reason)
                self._announce(answers.paused(user, reason))
                return private.PAUSED
            case commands.Resume():
                self._power("pause", user, members)
                return self._resume(user)
        self._power("read", user, members)
        return self._read(command, members, user)

    def _close(self, request_id: str, user: str, outcome: str, evidence: str, members: Members) -> str:
        may_fail = self.is_settled(self.service.known(request_id))
        return sentence(self.closing.close(request_id, user, outcome, evidence, members, may_fail=may_fail))

    def _resume(self, user: str) -> Answer:
        """Says what would be sent, and asks: the second `/ottu resume` within a minute does it."""
        waiting = self.store.in_states(State.APPROVED)
        asked = self.work.fact(RESUME_ASKED)
        fresh = asked and asked["by"] == user and self._is_within(RESUME_SECONDS, asked["at"])
        restored = self.execution.why_restored()
        if (waiting or restored) and not fresh and self.execution.is_paused():
            self.work.set_fact(RESUME_ASKED, {"by": user, "at": self.store.now()})
            listed = answers.listed(private.SENT_AT_ONCE, self._lines(waiting), private.NOTHING_SENT_AT_ONCE)
            *pages, last = [*([answers.restored(restored)] if restored else []), *listed]
            return [*pages, f"{last}\n{private.resume_again(would_send=bool(waiting))}"]
        self.execution.resume(user)
        self.work.set_fact(RESUME_ASKED, None)
        self._announce(answers.resumed(user))
        return private.resumed(count=len(waiting))

    def _announce(self, text: str) -> None:
        """A pause, or its end, in every channel of requests and on the cards that wait for it."""
        self.delivery.show_all_again(State.APPROVED)
        seq, _ = self.store.head()
        for channel in self.policy.channels.requests:
            self.delivery.answer_later(f"executions:{seq}:{channel}", channel, text)

    def _resend(self, request: Request, user: str, members: Members) -> str | None:
        self.closing.check_resend(request, user, members)
        if not self.closing.has_fresh_reading(request):
            self.work.arm(f"close:{request.id}", "close", {"request": request.id})
            return closing_words.LOOKS_AGAIN
        if stopped := self.execution.stopped():
            raise Refusal(closing_words.nothing_sent_now(stopped=stopped), kind="stopped")
        if not self.is_settled(request):
            raise Refusal(closing_words.TOO_EARLY_TO_SEND, kind="too_early")
        payload = {"request": request.id, "version": request.version, "by": user}
        self.work.arm(f"resend:{request.id}:{request.version}", "resend", payload)
        return None

    def _ask(self, job: Job, command: commands.Ask, members: Members) -> Request:
        channel = self._request_channel(job, has_form=True)
        self._learn_app(job)
        return self.service.submit(
            Submission(
                origin=job.key,
                requester=str(job.payload["user"]),
                team=str(job.payload["team"]),
                channel=channel,
                operation=command.operation,
                reference_kind=command.reference.kind,
                reference=command.reference.value,
                asked_amount=command.amount,
                asked_currency=command.currency,
                destination=command.destination,
                reason=command.reason,
            ),
            members,
        )

    def _request_channel(self, job: Job, *, has_form: bool) -> str:
        channel = str(job.payload["channel"])
        if channel not in self.policy.channels.requests:
            raise ChannelRefusal(self.policy.channels.requests, has_form=has_form)
        return channel

    def _learn_app(self, job: Job) -> None:
        """Commands reach only the app that they are for, so the first one tells our id where Slack did not."""
        if self.work.fact(APP) is None and job.payload.get("app"):
            self.work.set_fact(APP, {"id": job.payload["app"]})

    def _power(self, power: Literal["read", "pause"], user: str, members: Members) -> None:
        if not self.policy.has_power(power, user, members):
            raise Refusal(answers.power_problem(self.policy, power), kind="no_power")

    def _read(self, command: commands.Command, members: Members, user: str) -> Answer:
        match command:
            case commands.Status(target=target):
                return self._details(self._target(target, any_state=True), members, user)
            case commands.History(reference=reference):
                found, name = self._of(reference), literal(reference.value)
                return answers.listed(
                    private.requests_for(reference=name), self._lines(found), private.no_request_for(reference=name)
                )
        waiting = self.store.in_states(*OPEN)[::-1]
        return answers.listed(private.OPEN_REQUESTS, self._lines(waiting), private.NOTHING_OPEN)

    def _lines(self, requests: list[Request]) -> list[str]:
        cards = {request.id: self.work.card(request.id) for request in requests}
        links = {name: card.permalink if card else None for name, card in cards.items()}
        return [
            answers.line(request, links[request.id], [given.person for given in self.store.approvals(request.id)])
            for request in requests
        ]

    def _of(self, reference: commands.Reference) -> list[Request]:
        column = "session_id" if reference.kind == "session" else "order_no"
        return self.store.select(
            f"(reference_kind = :kind AND reference = :value) OR {column} = :value ORDER BY created_at DESC LIMIT 200",
            kind=reference.kind,
            value=reference.value,
        )

    def _target(self, target: commands.Target, *, any_state: bool = False) -> Request:
        """The request that a person means: by its name, or the open one (else the last one) of a transaction."""
        if isinstance(target, str):
            return self.service.known(target)
        found = self._of(target)
        wanted = [request for request in found if request.is_open] or (found if any_state else [])
        if not wanted:
            none = deciding.none_for if any_state else deciding.none_open_for
            raise Refusal(none(reference=target.value), kind="no_request")
        return wanted[0]

    def _withdrawn(self, request: Request) -> Offer:
        return Offer(private.withdrawn(request_id=request.id), again=request.id)

    def _details(self, request: Request, members: Members, user: str) -> list[str]:
        known = Known(
            request,
            self.store.approvals(request.id),
            list(self.store.events(request.id)),
            self.service.others_of(request),
            self.service.rule_of(request) if request.rule_text else None,
        )
        return details(known, members, user, lambda other: self._lines([other])[0])

    # --- inquiry: a read, never a request

    async def _inquire(self, job: Job, command: commands.Inquire, members: Members) -> None:
        user, reference = str(job.payload["user"]), command.reference
        try:
            self._request_channel(job, has_form=False)
            answer = await self.inquirer.answer(command, user, members)
        except Refusal as refusal:
            self._refuse(job, "inquiry", refusal)
            return
        with self._concluded(job) as is_ours:
            if not is_ours:
                return
            self.store.record("inquiry", user, data={"reference": reference.value, "kind": reference.kind})
            self._answer(job, answer)

    # --- clicks and forms

    async def on_click(self, job: Job) -> None:
        """A pressed button, or the form that a button opened."""
        action = str(job.payload["action"])
        members = await self._vouched(job, action)
        if members is None:
            return
        self._decide(job, action, lambda: self._click(job, action, members))

    def _click(self, job: Job, action: str, members: Members) -> Answer | None:
        request_id, _, digest = str(job.payload["value"]).partition(":")
        user = str(job.payload["user"])
        if not self._is_within(CLICK_COUNTS_SECONDS, job.created_at):
            raise Refusal(deciding.TOO_SLOW, kind="too_old")
        request = self.service.known(request_id)
        if action == "again":  # the requester's own click has opened the form
            named = {"requester": request.requester, "request_id": request.id}
            raise Refusal(form_words.only_the_requester(**named), kind="not_requester")
        self._check_place(job, request)
        self.service.check_digest(request, digest)
        match action:
            case "approve":
                self.service.approve(request_id, user, digest, members)
            case "reject":
                self.service.reject(request_id, user, str(job.payload["reason"]), members)
            case "resend":
                return self._resend(request, user, members)
            case "close":
                outcome, evidence = str(job.payload["outcome"]), str(job.payload["evidence"])
                return self._close(request_id, user, outcome, evidence, members)
            case "unapprove":
                self.service.unapprove(request_id, user)
            case "withdraw":
                return self._withdrawn(self.service.withdraw(request_id, user))
            case "details":
                self._power("read", user, members)
                return self._details(request, members, user)
            case _:
                raise Refusal(deciding.NO_SUCH_ACTION, kind="unknown_action")
        return None

    def _is_within(self, seconds: float, since: str) -> bool:
        return is_within(seconds, since, self.store.now(), ahead_seconds=CLOCK_SECONDS)

    def _check_place(self, job: Job, request: Request) -> None:
        """A click counts from the card's own channel and message, or from the clicker's own App Home; our own app's."""
        known_app = (self.work.fact(APP) or {}).get("id")
        if not known_app or job.payload.get("app") != known_app:
            raise Refusal(deciding.ANOTHER_APP, kind="foreign_app")
        if (owner := job.payload.get("home")) is not None:
            if owner != job.payload["user"]:
                raise Refusal(deciding.ANOTHER_HOME, kind="wrong_place")
            return
        card = self.work.card(request.id)
        if card is not None and card.ts is None:
            raise SlackDown("the card is being posted", 0.2)
        here = (job.payload.get("channel"), job.payload.get("ts"))
        if card is None or here != (card.channel, card.ts):
            raise Refusal(deciding.not_its_card(request_id=request.id), kind="wrong_place")

    # --- one transaction a payload

    @contextmanager
    def _concluded(self, job: Job) -> Iterator[bool]:
        """A transaction at the end of which the job is done. False where this process was frozen so long that another
        one has taken the job: that one decides."""
        with self.store.transaction():
            yield self.work.holds(job)
            self.work.finish(job)

    def _decide(self, job: Job, wanted: str, decide: Callable[[], Answer | None], named: str | None = None) -> None:
        try:
            with self._concluded(job) as is_ours:
                if not is_ours:
                    return
                head = self.store.head()
                answer = decide()
                if self.store.head() != head:
                    wake(self.work, str(job.payload["user"]))
                if answer is not None:
                    self._answer(job, answer)
        except Refusal as refusal:
            self._refuse(job, wanted, refusal, named)

    def _refuse(self, job: Job, wanted: str, refusal: Refusal, named: str | None = None) -> None:
        """Say no, and write down that we did."""
        request_id = named or str(job.payload.get("value") or "").partition(":")[0][:LONGEST_NAME] or None
        with self._concluded(job) as is_ours:
            if not is_ours:
                return
            self.service.refused_attempt(str(job.payload["user"]), wanted, refusal, request_id)
            unread = self.people.unread(self.policy) if refusal.kind in OF_GROUPS else []
            text = sentence(" ".join([str(refusal), *unread]))
            self._answer(job, refusal.for_slack if isinstance(refusal, ChannelRefusal) else text)

    def _answer(self, job: Job, text: Answer) -> None:
        self.delivery.answer_later(
            job.key, str(job.payload["user"]), text, response_url=job.payload.get("response_url")
        )


class ChannelRefusal(Refusal):
    """Typed where requests are not taken; the answer links to the channels where they are."""

    def __init__(self, channels: Sequence[str], *, has_form: bool) -> None:
        super().__init__(asking.WRONG_CHANNEL, kind="channel")
        self.for_slack = asking.go_to(channels=[f"<#{channel}>" for channel in channels], has_form=has_form)


def _command_of(job: Job) -> commands.Command:
    if "ask" in job.payload:
        return request_form.of_payload(job.payload["ask"])
    return commands.parse(str(job.payload["text"]))


def _named(command: commands.Command) -> str | None:
    """The request that a command names, for the record."""
    name = getattr(command, "request", None) or getattr(command, "target", None)
    return name[:LONGEST_NAME] if isinstance(name, str) else None
