"""What the policy decides: the first rule that fits, never a laxer one; people, not places in groups, are counted."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.policy import Finding, Members, Policy, Rule, findings, load, people
from approvals.request import Operation, Refusal

from .test_policy_file import DOCUMENTED

CANCEL, DELETE, INQUIRY, REFUND, VOID = (
    Operation.CANCEL,
    Operation.DELETE,
    Operation.INQUIRY,
    Operation.REFUND,
    Operation.VOID,
)
POLICY = load(DOCUMENTED)
LARGE, MONEY, UNPAID, NEVER = POLICY.rules
ALICE, BOB, CEM = "U01ALICE", "U02BOB", "U03CEM"
MEMBERS = {"agents": frozenset({ALICE, BOB}), "leads": frozenset({BOB, CEM})}


def policy_of(*rules: str) -> Policy:
    """A policy with the groups agents, leads and rest, and these rules by their text."""
    tables = "".join(f"\n[[rules]]\n{rule}" for rule in rules)
    return load(f'[channels]\nrequests = ["C01"]\n[groups]\nagents = []\nleads = []\nrest = []\n{tables}')


def rule_of(text: str) -> Rule:
    return Rule.from_text(text)


# --- which rule


@pytest.mark.parametrize(
    ("operation", "amount_minor", "currency", "rule"),
    [
        (REFUND, 500_000, "KWD", MONEY),  # exactly the amount is not above it
        (REFUND, 500_001, "KWD", LARGE),
        (REFUND, 999_999, "USD", MONEY),
        (REFUND, None, "USD", MONEY),  # another currency: the amount does not matter
        (VOID, None, None, MONEY),
        (INQUIRY, None, None, UNPAID),
        (DELETE, None, None, NEVER),
    ],
)
def test_the_first_rule_that_fits_decides(
    operation: Operation, amount_minor: int | None, currency: str | None, rule: Rule
) -> None:
    assert POLICY.rule_for(operation, amount_minor, currency) == rule


@pytest.mark.parametrize(("amount_minor", "currency"), [(None, "KWD"), (None, None), (5_000, None)])
def test_what_is_not_known_does_not_fall_through_to_a_laxer_rule(
    amount_minor: int | None, currency: str | None
) -> None:
    with pytest.raises(Refusal, match=r"“large refunds” may apply, but the (amount|currency) of") as caught:
        POLICY.rule_for(REFUND, amount_minor, currency)
    assert caught.value.kind == "rule_unknown"


def test_where_no_rule_fits_nothing_is_allowed() -> None:
    policy = policy_of('name = "k"\noperations = ["cancel"]\ncurrency = "KWD"\nask = ["agents"]\napprovals = 0')
    assert policy.rule_for(CANCEL, 1, "KWD") == policy.rules[0]
    assert policy.rule_for(CANCEL, 1, "USD") is None
    assert policy.rule_for(VOID, 1, "KWD") is None


CURRENCIES = st.sampled_from(["KWD", "USD"])
AMOUNTS_MINOR = st.integers(1, 40)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Policies of up to four rules that all name refund."""
    rules = []
    for number in range(draw(st.integers(1, 4))):
        currency = draw(st.none() | CURRENCIES)
        above_minor = draw(st.none() | AMOUNTS_MINOR) if currency else None
        rule = f'name = "{number}"\noperations = ["refund"]\nask = ["agents"]\napprove = ["leads"]\n'
        rule += f'currency = "{currency}"\n' if currency else ""
        decimals = {"KWD": 3, "USD": 2, None: 0}[currency]
        rule += f'above = "{above_minor / 10**decimals:.{decimals}f}"\n' if above_minor else ""
        rules.append(rule)
    return policy_of(*rules)


@given(policies(), AMOUNTS_MINOR, CURRENCIES)
def test_no_rule_before_the_one_that_decides_would_have_fitted(
    policy: Policy, amount_minor: int, currency: str
) -> None:
    def fits(rule: Rule) -> bool:
        return rule.currency in (None, currency) and amount_minor > (rule.above_minor or 0)

    assert policy.rule_for(REFUND, amount_minor, currency) == next((rule for rule in policy.rules if fits(rule)), None)


@given(policies(), st.none() | CURRENCIES)
def test_with_something_unknown_the_answer_is_right_whatever_it_turns_out_to_be(
    policy: Policy, currency: str | None
) -> None:
    try:
        decided = policy.rule_for(REFUND, None, currency)
    except Refusal:
        return
    for possible in [currency] if currency else ["KWD", "USD", "EUR"]:
        for amount_minor in (1, 20, 41):
            assert policy.rule_for(REFUND, amount_minor, possible) == decided


@pytest.mark.parametrize("operation", [REFUND, CANCEL, INQUIRY])
def test_what_may_be_allowed_passes_at_the_asking(operation: Operation) -> None:
    POLICY.rule_at_ask(operation)


def test_what_is_certainly_blocked_is_refused_at_the_asking_in_the_policys_words() -> None:
    with pytest.raises(Refusal, match=r"^Delete is done by the platform team\.$") as caught:
        POLICY.rule_at_ask(DELETE)
    assert caught.value.kind == "blocked"


def test_a_block_of_one_currency_is_not_certain_at_the_asking() -> None:
    policy_of('name = "k"\noperations = ["void"]\ncurrency = "KWD"\nblock = "No."').rule_at_ask(VOID)


def test_what_no_rule_names_is_refused_at_the_asking() -> None:
    with pytest.raises(Refusal, match="No rule of the policy allows refund") as caught:
        policy_of('name = "v"\noperations = ["void"]\nblock = "No."').rule_at_ask(REFUND)
    assert caught.value.kind == "no_rule"


# --- who


def test_who_may_ask_and_approve() -> None:
    assert [POLICY.may_ask(LARGE, person, MEMBERS) for person in (ALICE, BOB, CEM, "U9")] == [True, True, False, False]
    assert [POLICY.may_approve(LARGE, person, MEMBERS) for person in (ALICE, BOB, CEM)] == [False, True, True]
    assert [POLICY.may_ask_some(REFUND, person, MEMBERS) for person in (ALICE, CEM, "U9")] == [True, True, False]
    assert not POLICY.may_ask_some(DELETE, ALICE, MEMBERS)


def test_who_may_close_an_unknown_outcome_and_who_must_be_one_of_the_two() -> None:
    assert [POLICY.may_close(MONEY, person, MEMBERS) for person in (ALICE, CEM, "U9")] == [True, True, False]
    assert [POLICY.may_vouch(MONEY, person, MEMBERS) for person in (ALICE, CEM)] == [False, True]
    assert POLICY.may_vouch(UNPAID, ALICE, MEMBERS)  # 0 approvals: who may ask


def test_powers() -> None:
    assert [POLICY.has_power("read", person, MEMBERS) for person in (ALICE, CEM, "U9")] == [True, True, False]
    assert [POLICY.has_power("pause", person, MEMBERS) for person in (ALICE, CEM, "U9")] == [False, True, False]


@pytest.mark.parametrize("members", [{}, {"agents": frozenset[str](), "leads": frozenset[str]()}])
def test_an_empty_group_and_one_that_could_not_be_read_are_nobody(members: Members) -> None:
    assert people(("agents", "leads"), members) == frozenset()
    assert not POLICY.may_ask(MONEY, ALICE, members)
    assert not POLICY.may_approve(MONEY, BOB, members)
    assert not POLICY.has_power("pause", BOB, members)


# --- what stands against a request


def members(agents: str = "", leads: str = "") -> Members:
    return {"agents": frozenset(agents.split()), "leads": frozenset(leads.split())}


TWO = "“two”: refund; ask: agents; approve: agents, leads; approvals: 2"
ONE = "“one”: refund; ask: agents; approve: leads; approvals: 1"
FREE = "“free”: cancel; ask: agents; approvals: 0"
ODD = "“odd”: cancel; ask: agents; approve: leads; approvals: 0"


@pytest.mark.parametrize(
    ("rule", "group", "problem"),
    [
        (TWO, members("A B C"), None),
        (TWO, members("A B", "B"), "needs approval from 2 in agents, leads other than the requester, and there is 1"),
        (TWO, members("A", "A B"), "needs approval from 2"),  # a person in two groups is one person
        (ONE, members("A B", "L"), None),
        (ONE, members("A", "L M"), None),
        (ONE, members("A B"), "needs approval from 1 in leads"),
        (ONE, members("A B", "A"), "needs approval from 1 in leads"),  # only the requester could
        (ONE, members("A", "L"), "Closing an unknown outcome under rule “one” takes two people"),
        (FREE, members("A B C"), None),
        (FREE, members("A B"), "one of them in agents, and there are too few"),
        (ODD, members("A B", "L"), None),
        (ODD, members("A", "L M"), "one of them in agents"),  # two could help, and neither may ask
    ],
)
def test_a_request_that_could_never_be_decided_or_closed(rule: str, group: Members, problem: str | None) -> None:
    found = Policy.obstacle(rule_of(rule), "A", group)
    assert (found is None) if problem is None else (problem in (found or ""))


def test_an_inquiry_needs_nobody_to_close_it() -> None:
    assert Policy.obstacle(rule_of("“ask”: inquiry; ask: agents; approvals: 0"), "A", members("A")) is None


@given(st.sets(st.sampled_from("ABCDE")), st.sets(st.sampled_from("ABCDE")), st.sampled_from([ONE, TWO, FREE, ODD]))
def test_more_people_never_make_an_obstacle(agents: set[str], leads: set[str], text: str) -> None:
    """And where there is none, enough approvers besides the requester are really there."""
    rule = rule_of(text)
    group = {"agents": frozenset(agents), "leads": frozenset(leads)}
    if Policy.obstacle(rule, "A", group) is None:
        assert len([person for person in "BCDE" if Policy.may_approve(rule, person, group)]) >= rule.approvals
        assert len([person for person in "BCDE" if Policy.may_close(rule, person, group)]) >= 2
        more = {"agents": group["agents"] | {"F"}, "leads": group["leads"]}
        assert Policy.obstacle(rule, "A", more) is None


@pytest.mark.parametrize(
    ("kind", "reason", "problem"),
    [
        ("optional", None, None),
        ("optional", "x" * 500, None),
        ("optional", "x" * 501, "at most 500 characters"),
        ("required", "damaged", None),
        ("required", "  ", "needs a reason"),
        ("required", None, "needs a reason"),
        ("OPS-[0-9]+", " OPS-12 ", None),
        ("OPS-[0-9]+", "OPS-12 late", "does not have the form"),
        ("OPS-[0-9]+", "OPS-12\n", None),
        ("OPS-[0-9]+", "", "needs a reason"),
    ],
)
def test_reasons(kind: str, reason: str | None, problem: str | None) -> None:
    found = Policy.reason_problem(rule_of(f"{ONE}; reason: {kind}"), reason)
    assert (found is None) if problem is None else (problem in (found or ""))


def test_a_limit_counts_up_to_its_total_and_says_what_is_left() -> None:
    (limit,) = POLICY.limits_for(REFUND, "KWD")
    assert POLICY.over_limit(limit, 1_995_000, 5_000, "KWD") is None
    assert POLICY.over_limit(limit, 1_995_000, 5_001, "KWD") == (
        "Limit “daily” allows 2000.000 KWD per person within 1d, and 5.000 KWD is left. Ask for less, or wait."
    )
    assert "0.000 KWD is left" in (POLICY.over_limit(limit, 3_000_000, 1, "KWD") or "")
    assert POLICY.over_limit(limit, 9_000_000, 1, "USD") is None


def test_a_limit_counts_its_operations_in_its_currency() -> None:
    assert POLICY.limits_for(REFUND, "USD") == ()
    assert POLICY.limits_for(VOID, None) == ()
    with pytest.raises(Refusal, match="Limit “daily” may apply, but the currency"):
        POLICY.limits_for(REFUND, None)


# --- findings


def test_an_asker_who_can_never_be_served_is_a_warning() -> None:
    """Bob leads, and two leads besides him are asked for."""
    (finding,) = findings(POLICY, MEMBERS)
    assert finding.level == "warning"
    assert finding.sentence.startswith("U02BOB will be refused under rule “large refunds”. ")


def test_a_rule_that_can_serve_nobody_is_an_error() -> None:
    found = findings(POLICY, {"agents": frozenset({ALICE}), "leads": frozenset()})
    assert [finding.level for finding in found] == ["error", "error", "error"]
    assert found[0].sentence.startswith("No request under rule “large refunds” could be decided and closed. ")


def test_a_rule_under_which_nobody_asks_is_an_error() -> None:
    policy = policy_of('name = "v"\noperations = ["void"]\nask = ["rest"]\napprove = ["leads"]')
    assert findings(policy, MEMBERS) == [
        Finding("error", "Rule “v”: nobody is in rest. Add people, or block it."),
    ]


@pytest.mark.parametrize(
    ("first", "second", "covered"),
    [
        ("", "", True),
        ("", 'currency = "KWD"', True),
        ('currency = "KWD"', "", False),
        ('currency = "KWD"', 'currency = "USD"', False),
        ('currency = "KWD"', 'currency = "KWD"\nabove = "5"', True),
        ('currency = "KWD"\nabove = "5"', 'currency = "KWD"\nabove = "5"', True),
        ('currency = "KWD"\nabove = "5"', 'currency = "KWD"\nabove = "4"', False),
        ('currency = "KWD"\nabove = "5"', 'currency = "KWD"', False),
    ],
)
def test_a_rule_that_an_earlier_one_makes_useless_is_a_warning(first: str, second: str, covered: bool) -> None:
    """Large amounts after all amounts: the strict rule that was meant would never decide."""
    one, two = (f'name = "{name}"\noperations = ["void"]\nblock = "No."\n' for name in ("one", "two"))
    warning = Finding("warning", "Rule “two” never applies: “one” before it always fits. Put it first.")
    assert findings(policy_of(one + first, two + second), MEMBERS) == ([warning] if covered else [])


def test_a_last_rule_for_what_is_left_is_no_finding() -> None:
    void, rest = 'name = "void"\noperations = ["void"]\n', 'name = "rest"\noperations = ["void", "delete"]\n'
    assert findings(policy_of(void + 'block = "No."', rest + 'block = "No."'), MEMBERS) == []


# --- the line that a request keeps

NAMES = st.text(st.characters(exclude_characters="“”", exclude_categories=["C", "Z"]), min_size=1, max_size=20)
SOME_GROUPS = st.lists(st.sampled_from(["agents", "leads", "night shift"]), min_size=1, unique=True)
SOME_OPERATIONS = st.lists(st.sampled_from([REFUND, VOID, CANCEL]), min_size=1, unique=True)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    content: dict[str, object] = {"name": draw(NAMES), "operations": draw(SOME_OPERATIONS)}
    if draw(st.booleans()):
        content["currency"] = "KWD"
        content |= draw(st.sampled_from([{}, {"above": "0.001"}, {"above": "500"}]))
    if draw(st.booleans()):
        return Rule.model_validate(content | {"block": draw(NAMES)}, strict=False)
    content |= {"ask": draw(SOME_GROUPS), "approve": draw(SOME_GROUPS), "approvals": draw(st.integers(1, 10))}
    content["reason"] = draw(st.sampled_from(["optional", "required", "[A-Z]+; notify: dm", "“x”: refund|y"]))
    content["notify"] = draw(st.sampled_from(["none", "mention", "dm"]))
    return Rule.model_validate(content, strict=False)


@given(rules())
def test_a_rule_can_be_read_back_from_the_line_that_a_request_keeps(rule: Rule) -> None:
    """So a request is decided under the rule it was made under, though the policy has changed since."""
    assert "\n" not in rule.text
    assert Rule.from_text(rule.text) == rule
    assert Rule.from_text(rule.text).hash == rule.hash


@pytest.mark.parametrize("text", ["", "money", "“m”: refund", f"{ONE}; approvals: 0", ONE.replace("1", "0")])
def test_another_line_is_no_rule(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Rule.from_text(text)


# --- large groups


def test_everybody_of_a_large_group_is_judged_as_alone_and_quickly() -> None:
    """The policy is read again while the bot runs: nothing else is done meanwhile."""
    staff = frozenset(f"U{number:08}" for number in range(3_000))
    members = {"agents": staff | {ALICE, BOB}, "leads": staff | {CEM}, "rest": frozenset({CEM, "U00000007"})}
    asked = 'operations = ["refund"]\nask = ["agents", "leads"]\napprovals = 2'
    rules = [f'name = "{group}"\napprove = ["{group}"]\n{asked}' for group in ("agents", "leads", "rest")]
    policy = policy_of(*rules)
    began = time.perf_counter()
    found = findings(policy, members)
    assert time.perf_counter() - began < 1.0
    rest = policy.rules[2]
    for person in (ALICE, CEM, "U00000007", "U00000008"):
        alone = Policy.obstacle(rest, person, members)
        told = [finding.sentence for finding in found if person in finding.sentence and "“rest”" in finding.sentence]
        assert bool(told) == bool(alone)
        assert all(alone in sentence for sentence in told if alone)
