"""Broken assumptions, and parts of the bot that do not do their work: what a proof must see to be worth anything."""

from __future__ import annotations

from approvals.policy import Policy
from tests.proofs import themes

LATE_MONEY = "the gateway is slower than the settle window"
NO_CLAIM_AGE = "the age of a claim is not checked"
ALL_GONE = "every other process counts as ended"
DEAF = "a webhook's signature is not checked"
NO_WINDOW = "there is no settle window"
NO_LIMIT = "no limit is kept"
# Each of them, the kind of world that is rich in its trouble, and words of the failure that it must cause there.
WOUNDS = {
    LATE_MONEY: (themes.SLOW_GATEWAY, "double movement"),
    NO_CLAIM_AGE: (themes.FROZEN, "after its claim"),
    ALL_GONE: (themes.SLOW_GATEWAY, "which lives"),
    DEAF: (themes.FORGERS, "a forged webhook was taken"),
    NO_WINDOW: (themes.UNPAID_LINKS, "after it became unknown"),
    NO_LIMIT: (themes.LIMIT, "the limit was passed"),
}


def wounded(policy: Policy, wound: str) -> Policy:
    """The policy as the bot keeps to it."""
    if wound == NO_WINDOW:
        return policy.model_copy(update={"timing": policy.timing.model_copy(update={"settle_seconds": 0})})
    return policy.model_copy(update={"limits": ()}) if wound == NO_LIMIT else policy
