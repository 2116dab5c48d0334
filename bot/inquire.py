"""`/ottu inquiry`: asks Ottu about a transaction, within the budget, for one person's eyes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import ottu
from approvals.inquiries import MOST, RESERVED, Stored
from approvals.policy import Members
from approvals.policy_in_force import InForce
from approvals.request import Operation, Refusal
from approvals.sentences import asking, looking
from bot import answers, commands
from bot.reader import Later, Reader, inquiry_advice, reading_of

NEXT_INQUIRY_SECONDS = 300.0  # where nobody has said when


class Inquirer:
    """Answers inquiries: a new answer where the budget allows one, else the stored one with its time."""

    def __init__(self, in_force: InForce, reader: Reader) -> None:
        self.in_force = in_force
        self.reader = reader

    async def answer(self, command: commands.Inquire, user: str, members: Members) -> str:
        """The answer for the person. Raises Refusal: not allowed, throttled, no answer, one of Ottu's own."""
        self._check(command, user, members)
        stored, note = await self._stored(command)
        reading = reading_of(stored)
        return answers.inquiry(command.reference.value, reading, stored.answer, stored.sent_at, note)

    def _check(self, command: commands.Inquire, user: str, members: Members) -> None:
        policy = self.in_force.now
        policy.rule_at_ask(Operation.INQUIRY)
        rule = policy.rule_for(Operation.INQUIRY, None, None)
        if rule is None or rule.block is not None or not policy.may_ask(rule, user, members):
            raise Refusal(asking.may_not_inquire(groups=rule.ask if rule else ()), kind="not_allowed")
        url = command.disclosure_url
        if url and (urlsplit(url).hostname or "") not in policy.disclosure.hosts:
            raise Refusal(asking.DISCLOSURE_HOST, kind="disclosure_host")

    async def _stored(self, command: commands.Inquire) -> tuple[Stored, str]:
        kind, value = command.reference.kind, command.reference.value
        is_open = self.reader.store.open_by_reference(kind, value) is not None
        more: dict[str, Any] = {"disclose_to_merchant": True} if command.disclose else {}
        if command.disclosure_url:
            more["disclosure_url"] = command.disclosure_url
        try:
            return await self.reader.inquire(kind, value, most=MOST - RESERVED if is_open else MOST, **more), ""
        except Later as later:
            stored = self.reader.inquiries.latest(kind, value, value if kind == "session" else None)
            if stored is None:
                minutes = round((later.seconds or NEXT_INQUIRY_SECONDS) / 60)
                sentence = looking.try_again_in(why=str(later), minutes=minutes)
                raise Refusal(sentence, kind="throttled") from None
            return stored, looking.LAST_ANSWER
        except ottu.Refused as error:
            raise Refusal(inquiry_advice(error, value), kind="inquiry_refused") from None
        except ottu.OttuError as error:
            raise Refusal(looking.try_again_soon(why=str(error)), kind="no_answer") from None
