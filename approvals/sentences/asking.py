"""Why something may not be asked for: the person, the place, the policy, its limits, another request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from approvals.request import Operation, State

# Who it is, and where they are

OUTSIDER = "Only people of this workspace can do this."
UNKNOWN_PERSON = "Slack does not know you in this workspace."
NOT_ORDINARY = {
    "deleted": "This account is deactivated. Ask a full member of this workspace.",
    "is_bot": "Bots cannot do this. Ask a full member of this workspace.",
    "is_restricted": "Guests cannot do this. Ask a full member of this workspace.",
    "is_ultra_restricted": "Guests cannot do this. Ask a full member of this workspace.",
    "is_stranger": "People of another organisation cannot do this. Ask a full member of this workspace.",
}
WRONG_CHANNEL = "Requests are not taken here."


def go_to(*, channels: Sequence[str], has_form: bool) -> str:
    """`has_form`: whether the form asks for the same, from anywhere."""
    form = "; or type `/ottu` alone here, and fill in the form" if has_form else ""
    return f"{WRONG_CHANNEL} Go to {', '.join(channels)} and type it there{form}."


# What the policy lets nobody do, or not this person

NO_RULE = "No rule of the policy covers this, so it is not possible here."
NO_NUMBER = "No free request number was found. Try again."
DISCLOSURE_HOST = "That host is not on the policy's list for disclosures. Leave the URL out, or ask an administrator."


def no_rule_names(*, operation: Operation) -> str:
    return f"No rule of the policy allows {operation}. Ask an administrator to add one."


def may_not_ask(*, operation: Operation, groups: Sequence[str]) -> str:
    return f"You may not ask to {operation} here. The policy lets {', '.join(groups) or 'nobody'} ask."


def may_not_inquire(*, groups: Sequence[str]) -> str:
    return f"You may not ask for an inquiry. The policy lets {', '.join(groups) or 'nobody'} ask."


def rule_lets_others_ask(*, rule: str, groups: Sequence[str]) -> str:
    return f"You may not ask for this: the rule “{rule}” lets {', '.join(groups)} ask."


def power_is_others(*, groups: Sequence[str]) -> str:
    return f"You may not do this. The policy lets {', '.join(groups) or 'nobody'} do it."


def too_many(*, most: int, seconds: int) -> str:
    first = f"That is more than {most} request{'s' if most != 1 else ''} in a minute, so this one was not taken."
    return f"{first} Go on in {seconds} second{'s' if seconds != 1 else ''}."


def already_open(*, request_id: str, operation: Operation, state: State, requester: str) -> str:
    return (
        f"{request_id} is open for this transaction ({operation}, {state}, asked by "
        f"@{requester}). One at a time: wait for it, or have it withdrawn."
    )


# What cannot be told, because Ottu has not said it


def rule_not_known(*, rule: str, missing: Literal["currency", "amount"]) -> str:
    return _not_known(f"Rule “{rule}”", missing)


def limit_not_known(*, limit: str, missing: Literal["currency", "amount"]) -> str:
    return _not_known(f"Limit “{limit}”", missing)


def _not_known(what: str, missing: str) -> str:
    return f"{what} may apply, but the {missing} of this transaction is not known. Try again when Ottu answers with it."


# What nobody could decide or close


def too_few_approvers(*, rule: str, needed: int, groups: Sequence[str], found: int) -> str:
    return (
        f"Rule “{rule}” needs approval from {needed} in {', '.join(groups)} other than the "
        f"requester, and there {'is' if found == 1 else 'are'} {found}. Ask an administrator to add people."
    )


def too_few_closers(*, rule: str, groups: Sequence[str]) -> str:
    return (
        f"Closing an unknown outcome under rule “{rule}” takes two people other than the requester, one "
        f"of them in {', '.join(groups)}, and there are too few. Ask an administrator to add people."
    )


_WHY_UNREAD = {
    "plan_upgrade_required": "this workspace's plan of Slack has no user groups",
    "missing_scope": "the bot lacks the scope usergroups:read",
    "no_such_subteam": "there is no such user group",
}


def group_unread(*, group: str, user_group: str, error: str) -> str:
    """`error`: Slack's own word."""
    return (
        f"The user group {user_group} in the group {group} counts as nobody: {_WHY_UNREAD.get(error, error)}. "
        f"An administrator can name people (U…) instead."
    )


# The reason, and the limits


def reason_too_long(*, most: int) -> str:
    return f"The reason is too long: write at most {most} characters."


def reason_missing(*, rule: str) -> str:
    return f"Rule “{rule}” needs a reason: write it at the end."


def reason_of_other_form(*, rule: str, pattern: str) -> str:
    return f"The reason does not have the form that rule “{rule}” asks for: {pattern}"


def over_limit(
    *, limit: str, total: str, per: Literal["requester", "transaction", "all"], within: str, left: str
) -> str:
    whose = {"requester": "per person", "transaction": "per transaction", "all": "for everyone together"}[per]
    return f"Limit “{limit}” allows {total} {whose} within {within}, and {left} is left. Ask for less, or wait."
