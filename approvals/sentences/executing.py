"""Sending: how an attempt ended, why nothing is sent, and what is seen of an outcome. Parts of longer sentences."""

from __future__ import annotations

from typing import Literal

Difference = Literal["operation", "transaction", "currency", "amount"]

# How an attempt ended: the detail of a failed or unknown request, without a full stop

STOPPED = "the bot was stopped while it waited for the answer"
ENDED = "the bot was ended while it waited for the answer"
FROZEN = "the process that sent it did not come back in time"
NOT_WRITTEN_DOWN = "the answer could not be written down; see the bot's log"
SLOW_DOWN = "Ottu asked to slow down"
CREDENTIALS_NOT_ACCEPTED = "Ottu did not accept the bot's credentials"
DECLINED = "Ottu answered that the gateway declined it"
UNCLEAR_ANSWER = "Ottu's answer does not say clearly whether it was done"
BANK_REJECTED = "the bank rejected it"
PUT_BACK = "the database was put back from a copy"
OTHERS_ACTED = "somebody else acted on this transaction outside the bot: look, then ask again"


def answer_of_another(*, difference: Difference) -> str:
    return f"Ottu's answer is of another {difference} than was approved"


def unexpected(*, error: str) -> str:
    return f"an unexpected error ({error})"


def marker_not_written(*, error: str) -> str:
    return f"STATE_DIR cannot be written ({error})"


def never_reached(*, times: int, why: str) -> str:
    return f"could not reach Ottu {times} times; nothing was sent ({why})"


def bank_silent(*, days: int) -> str:
    return f"the bank has said nothing for {days} days"


def new_child(*, state: str) -> str:
    return f"Ottu's inquiry shows a new child: {state}"


def ottu_says(*, state: str) -> str:
    return f"Ottu says that it is {state}"


def queued_one_is(*, state: str) -> str:
    return f"Ottu says that the queued refund is {state}"


def closed_by_two(*, evidence: str) -> str:
    return f"closed by two people: {evidence}"


# Why nothing is sent now

CREDENTIALS_REFUSED = "Ottu refused the credentials"
PAUSED_BY_BOT = "paused by the bot"
PAUSED_ALREADY = "Executions are paused already. /ottu resume starts them again."
NOT_PAUSED = "Executions are not paused."


def paused_by(*, person: str) -> str:
    return f"paused by @{person}"


# Why the bot takes its database for one that was put back from a copy

NO_MARKER = "it has requests, and no marker of having been used here"


def sent_after_end(*, seq: int, end: int) -> str:
    return f"something was sent after event {seq}, and this database ends at {end}"


def another_event(*, seq: int) -> str:
    return f"event {seq} is not the one after which something was sent"
