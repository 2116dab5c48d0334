"""Alarms: what people must look at, told in the audit channel."""

from __future__ import annotations

from approvals.request import Ending, State

CREDENTIALS_REFUSED = "Ottu refused the bot's credentials (401). Nothing is executed until it accepts them again."
GAVE_UP = "Something that nobody waits for could not be done, and was given up; the bot's log says why."
NOBODY_ASKED = "An operation that nobody asked this bot for."


def policy_refused(*, why: str) -> str:
    """`why`: what is wrong with the file, and what to write."""
    return f"The policy file has changed, and cannot be used; the one before stays in force. {why}"


def another_transaction(*, request_id: str) -> str:
    return f"Ottu was asked about the transaction of {request_id} and answered with another one."


def put_back(*, why: str) -> str:
    return f"This database was put back from a copy: {why}. Executions are paused."


def answer_disagrees(*, request_id: str) -> str:
    return f"Ottu's answer to {request_id} disagrees."


def late_answer(*, request_id: str, was_done: bool, state: State) -> str:
    return f"A late answer says that {request_id} {'was done' if was_done else 'was not done'}, which is {state}."


def webhook_contradicts(*, ending: Ending, request_id: str, state: State) -> str:
    return f"A webhook says {ending} of {request_id}, which is {state}."


def webhook_may_contradict(*, ending: Ending, request_id: str, state: State) -> str:
    return f"A webhook says {ending} of what may be {request_id}, which is {state}."
