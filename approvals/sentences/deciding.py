"""Why a decision does not count: approve, take back, reject, withdraw; and buttons that are not what they seem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from approvals.request import State

Verb = Literal["approve", "reject", "unapprove"]
VERBS: dict[Verb, str] = {"approve": "approve", "reject": "reject", "unapprove": "take the approval back"}

# Where the request stands


def stands(*, request_id: str, state: State, actor: str | None, approved_by: Sequence[str], since: str) -> str:
    """`actor`: who moved it there; None where the bot did. `since`: as it is stored."""
    approvers = f" (approved by {', '.join(f'@{person}' for person in approved_by)})" if approved_by else ""
    who = f" by @{actor}" if actor else approvers
    return f"{request_id} is {state}{who} since {since}."


def no_such_request(*, request_id: str) -> str:
    return f"There is no request {request_id}. /ottu pending shows those that wait."


def none_for(*, reference: str) -> str:
    return f"No request for {reference}."


def none_open_for(*, reference: str) -> str:
    return f"No open request for {reference}."


# Too late, too early, already done. `stands`: the sentence of that name.


def not_now(*, stands: str, verb: Verb) -> str:
    return f"{stands} You cannot {VERBS[verb]} it now."


def not_withdrawn_now(*, stands: str) -> str:
    return f"{stands} It cannot be withdrawn any more."


def expired(*, request_id: str) -> str:
    return f"{request_id} was not decided in time. Ask again if it is still wanted."


def approved_already(*, request_id: str, missing: int) -> str:
    return f"You have approved {request_id} already." + (f" {missing} more needed." if missing > 0 else "")


def nothing_to_take_back(*, request_id: str) -> str:
    return f"You have not approved {request_id}, so there is nothing to take back."


# Not this person, or not without words


def own_request(*, request_id: str, verb: Verb) -> str:
    return f"You asked for {request_id} yourself, so somebody else must {VERBS[verb]} it. You can withdraw it."


def others_decide(*, request_id: str, verb: Verb, rule: str, groups: Sequence[str]) -> str:
    return f"You may not {VERBS[verb]} {request_id}: the rule “{rule}” lets {', '.join(groups)} decide."


def only_requester(*, requester: str, request_id: str) -> str:
    return f"Only @{requester}, who asked, can withdraw {request_id}."


def say_why(*, request_id: str) -> str:
    return f"Say why: /ottu reject {request_id} and the reason."


# Buttons

OLD_CARD = "That button is of an older card. Use the buttons of the card in the channel."
TOO_SLOW = "That took too long to reach the bot, so it does not count. Press again."
NO_SUCH_ACTION = "This button belongs to no action that the bot knows."
ANOTHER_HOME = "That button belongs to somebody else's Home. Open your own, and press it there."
ANOTHER_APP = "That button belongs to another app."


def not_its_card(*, request_id: str) -> str:
    return f"That is not the card of {request_id}. Use the one in its channel."
