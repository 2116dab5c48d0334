"""The terms of a request, from what was read of its transaction: amount, figures, the rule in force, the limits.

Everything that can be refused before there is a card is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping

from approvals import money, reading
from approvals.policy import Members, Policy, Rule
from approvals.reading import Reading, children_text
from approvals.request import Refusal, Request, Submission
from approvals.sentences import asking
from approvals.store import Store, later


def terms_of(
    store: Store, policy: Policy, request: Request, read: Reading, members: Members
) -> tuple[dict[str, object], Rule]:
    """The columns that are set once, and the rule. Raises Refusal with why the request cannot be."""
    submission = submission_of(request)
    reading.check_identity(submission, read)
    reading.check_state(request.operation, read)
    if read.session_id:
        check_free(store.open_by_session(read.session_id), but=request.id)
    if read.order_no:
        check_free(_unread_open(store, read.order_no), but=request.id)
    figures = reading.figures(request.operation, read)
    amount_minor = reading.amount(submission, read, figures.left_minor)
    rule = _rule_of(store, policy, request, amount_minor, read, members)
    terms: dict[str, object] = {
        "session_id": read.session_id,
        "order_no": read.order_no or (request.reference if request.reference_kind == "order" else None),
        "amount_minor": amount_minor,
        "currency": read.currency,
        "decimals": money.decimals(read.currency) if read.currency else None,
        "transaction_state": read.state,
        "transaction_minor": read.amount_minor,
        **figures.__dict__,
        "children": children_text(read),
        "figures_at": read.read_at,
        "is_sandbox": None if read.is_sandbox is None else int(read.is_sandbox),
        "gateway": read.gateway,
        "rule_name": rule.name,
        "rule_text": rule.text,
        "rule_hash": rule.hash,
        "approvals_needed": rule.approvals,
    }
    return terms, rule


def _unread_open(store: Store, order_no: str) -> Request | None:
    """An open request that goes by the order number alone, because Ottu knew no session for it."""
    found = store.open_by_reference("order", order_no)
    return found if found and found.session_id is None else None


def _rule_of(
    store: Store, policy: Policy, request: Request, amount_minor: int | None, read: Reading, members: Members
) -> Rule:
    amount_of_rule = read.amount_minor if amount_minor is None else amount_minor
    rule = policy.rule_for(request.operation, amount_of_rule, read.currency)
    if rule is None:
        raise Refusal(asking.NO_RULE, kind="no_rule")
    if rule.block is not None:
        raise Refusal(rule.block, kind="blocked")
    if not policy.may_ask(rule, request.requester, members):
        raise Refusal(asking.rule_lets_others_ask(rule=rule.name, groups=rule.ask), kind="not_allowed")
    for problem in (
        policy.reason_problem(rule, request.reason),
        policy.obstacle(rule, request.requester, members),
    ):
        if problem:
            raise Refusal(problem, kind="rule")
    if amount_minor is not None and read.currency:
        _check_limits(store, policy, request, read, amount_minor, read.currency)
    return rule


def _check_limits(
    store: Store, policy: Policy, request: Request, read: Reading, amount_minor: int, currency: str
) -> None:
    for limit in policy.limits_for(request.operation, currency):
        since = later(store.now(), seconds=-limit.within_seconds)
        where: Mapping[str, str] = {
            "requester": {"requester": request.requester},
            "transaction": {"session_id": read.session_id or ""},
            "all": {},
        }[limit.per]
        already = sum(store.total_minor(operation, currency, since, where=where) for operation in limit.operations)
        problem = policy.over_limit(limit, already, amount_minor, currency)
        if problem:
            raise Refusal(problem, kind="limit")


def check_free(other: Request | None, but: str = "") -> None:
    if other and other.id != but:
        sentence = asking.already_open(
            request_id=other.id, operation=other.operation, state=other.state, requester=other.requester
        )
        raise Refusal(sentence, kind="already_open")


def submission_of(request: Request) -> Submission:
    return Submission(**{name: getattr(request, name) for name in Submission.__dataclass_fields__})
