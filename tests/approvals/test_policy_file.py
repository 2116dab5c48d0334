"""The policy file: the documented one works as it stands, and whatever is wrong is named with what to write."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from approvals.policy import PolicyError, Rule, findings, load
from approvals.policy_fields import HINTS, duration_text
from approvals.policy_file import Channels, Disclosure, Limit, PolicyFile, Powers, Timing
from approvals.policy_rule import Table

EXAMPLE = Path(__file__).parents[2] / "policy.example.toml"

# The file of the documentation, word for word.
DOCUMENTED = """\
[channels]
requests = ["C01GEN"]            # where /ottu acts; the first is where cards from forms go
audit = "C02AUDIT"               # optional: daily heads, alarms

[groups]                          # Slack user ids, or user groups (S…), read from Slack and kept at most 60 s
agents = ["U01ALICE", "U02BOB"]
leads = ["U02BOB", "U03CEM"]

[powers]                          # optional; groups
read = ["agents", "leads"]        # status, pending, history, from anywhere; default: everyone in a group
pause = ["leads"]                 # pause, resume, adopt a restored database; default: everyone who may approve

[[rules]]                         # the first that fits decides; none fits: refused
name = "large refunds"
operations = ["refund"]
currency = "KWD"
above = "500.000"                 # strictly more, in that currency
ask = ["agents"]
approve = ["leads"]
approvals = 2                     # people other than the requester

[[rules]]
name = "money"
operations = ["refund", "capture", "void"]
ask = ["agents", "leads"]
approve = ["leads"]
approvals = 1
reason = "optional"               # or "required", or a regular expression such as a ticket number
notify = "none"                   # or "mention", "dm": the people who can decide

[[rules]]
name = "unpaid links"
operations = ["cancel", "expire", "inquiry"]
ask = ["agents", "leads"]
approvals = 0                     # refused at start for refund, capture, void

[[rules]]
name = "never from chat"
operations = ["delete"]
block = "Delete is done by the platform team."

[[limits]]
name = "daily"
operations = ["refund"]
currency = "KWD"
per = "requester"                 # requester | transaction | all
within = "24h"
total = "2000.000"                # open and succeeded requests, this one included

[disclosure]
hosts = ["hooks.example.com"]

[timing]                          # all optional; these are the defaults
settle_seconds = 600              # fractions allowed; below 60 only with a loopback OTTU_BASE_URL; greater than the deadline
deadline_seconds = 60
expires_after = "24h"
remind_after = ["30m", "4h"]
lapse_after = "1h"
inquiry_gap_seconds = 1860        # Ottu allows one per 30 minutes and transaction; below 60 only with a loopback OTTU_BASE_URL
queued_days = 14                  # then a queued refund becomes unknown
commands_per_minute = 30          # accepted requests per person
parallel = 8                      # executions at once
"""  # noqa: E501  the documentation's own lines

MINIMAL = """
[channels]
requests = ["C01"]
[groups]
agents = ["U01"]
[[rules]]
name = "money"
operations = ["refund"]
ask = ["agents"]
approve = ["agents"]
"""
LIMIT = '[[limits]]\nname = "day"\noperations = ["refund"]\ncurrency = "KWD"\nper = "all"\nwithin = "1d"\ntotal = "5"\n'


def changed(old: str, new: str, *, text: str = MINIMAL) -> str:
    assert old in text
    return text.replace(old, new, 1)


def ruled(lines: str, *, ask: str = 'ask = ["agents"]\napprove = ["agents"]') -> str:
    """A file with one rule, of these lines."""
    rule = f'[[rules]]\nname = "r"\n{lines}\n{ask}\n'
    return f'[channels]\nrequests = ["C01"]\n[groups]\nagents = ["U01"]\n{rule}'


def test_the_documented_file_works_as_it_stands() -> None:
    policy = load(DOCUMENTED)
    assert policy.channels == Channels(requests=("C01GEN",), audit="C02AUDIT")
    assert policy.groups == {"agents": ("U01ALICE", "U02BOB"), "leads": ("U02BOB", "U03CEM")}
    assert policy.powers == Powers(read=("agents", "leads"), pause=("leads",))
    assert [rule.text for rule in policy.rules] == [
        "“large refunds”: refund above 500.000 KWD; ask: agents; approve: leads; approvals: 2",
        "“money”: refund, capture, void; ask: agents, leads; approve: leads; approvals: 1",
        "“unpaid links”: cancel, expire, inquiry; ask: agents, leads; approvals: 0",
        "“never from chat”: delete; blocked: Delete is done by the platform team.",
    ]
    assert policy.rules[0].above_minor == 500_000
    (limit,) = policy.limits
    assert (limit.total_minor, limit.within_seconds, limit.per) == (2_000_000, 86_400, "requester")
    assert policy.disclosure.hosts == ("hooks.example.com",)
    assert policy.timing == Timing()  # the documented timing is the default


def test_the_file_that_ships_loads_and_everybody_can_be_served() -> None:
    text = EXAMPLE.read_text()
    policy = load(text)
    assert findings(policy, {name: frozenset(ids) for name, ids in policy.groups.items()}) == []
    needed = {operation: rule.approvals for rule in policy.rules for operation in rule.operations if not rule.block}
    assert needed == dict.fromkeys(("refund", "capture", "void"), 1) | dict.fromkeys(("cancel", "expire", "inquiry"), 0)
    assert [rule.operations for rule in policy.rules if rule.block] == [("delete",)]


def test_what_is_commented_out_in_the_file_that_ships_is_correct_too() -> None:
    text = EXAMPLE.read_text()
    policy = load(re.sub(r"^# (?=[\[a-z_]+(?: =|\]))", "", text, flags=re.M))
    assert policy.timing == Timing()
    assert policy.powers == load(text).powers
    assert len(policy.rules) == 4
    assert len(policy.limits) == 1


def test_powers_left_out_are_everybody_in_a_group_and_whoever_may_approve() -> None:
    policy = load(DOCUMENTED[: DOCUMENTED.index("[powers]")] + DOCUMENTED[DOCUMENTED.index("[[rules]]") :])
    assert policy.powers == Powers(read=("agents", "leads"), pause=("leads",))
    half = load(MINIMAL + "[powers]\nread = []\n")
    assert half.powers == Powers(read=(), pause=("agents",))


def test_an_empty_group_is_allowed() -> None:
    assert load(changed('["U01"]', "[]")).groups == {"agents": ()}


WRONG: Mapping[str, tuple[str, str]] = {
    "not toml": ("=", "not TOML"),
    "nested too deeply": ("a = " + "[" * 9_000, "too deeply"),
    "keys nested too deeply": ("a" + ".a" * 3_000 + " = 1", "too deeply"),
    "too long": ("#" * 200_001, "too long"),
    "a date": (changed('"C01"', "2026-01-01"), "in quotes"),
    "no number": (MINIMAL + "[timing]\nparallel = nan", "in quotes"),
    "no channels": ("[groups]", 'channels: is missing; write requests = ["C…"]'),
    "no request channel": (changed('["C01"]', "[]"), "channels, requests: tuple should have at least 1 item"),
    "a channel's name": (changed("C01", "#general"), "channels, requests: “#general” does not fit; write the ids"),
    "a channel twice": (changed('"C01"', '"C01", "C01"'), "channels, requests: names something twice"),
    "a person's name": (changed("U01", "@alice"), "groups, agents: “@alice” does not fit; write name = "),
    "a group's name": (changed('agents = ["U01"]', '"<!here>" = []'), "groups, <!here>: “<!here>” does not fit"),
    "no rules": ('[channels]\nrequests = ["C01"]', "rules: is missing"),
    "a misspelt key": (MINIMAL + "aprovals = 2", "rules “money”, aprovals: is no known key; write approvals"),
    "a strange key": (MINIMAL + "zzz = 2", "rules “money”, zzz: is no known key; leave it out"),
    "a rule without name": (changed('name = "money"\n', ""), "rules “1”, name: is missing; write a name"),
    "a name with quotes": (changed("money", "mon”ey"), "rules “mon”ey”, name: “mon”ey” does not fit"),
    "a name of two lines": (changed("money", "mon\\ney"), "rules “mon ey”, name: holds a line break"),
    "a rule that is none": ('rules = [1]\n[channels]\nrequests = ["C01"]', "rules “1”: input should be an object"),
    "an unknown operation": (changed('"refund"', '"refnd"'), "rules “money”, operations: input should be 'refund'"),
    "no operation": (changed('["refund"]', "[]"), "rules “money”, operations: tuple should have at least 1"),
    "an operation twice": (
        changed('"refund"', '"refund", "refund"'),
        "rules “money”, operations: names something twice",
    ),
    "an unknown currency": (MINIMAL + 'currency = "XYZ"', "rules “money”, currency: "),
    "above without currency": (MINIMAL + 'above = "5"', "rules “money”, above: needs its currency beside it"),
    "above as a number": (MINIMAL + 'currency = "KWD"\nabove = 5.0', "rules “money”, above: must be in quotes"),
    "above too precise": (MINIMAL + 'currency = "KWD"\nabove = "5.0001"', "rules “money”, above: "),
    "approvals as text": (
        MINIMAL + 'approvals = "1"',
        "rules “money”, approvals: input should be a valid integer; write",
    ),
    "too many approvals": (MINIMAL + "approvals = 11", "rules “money”, approvals: input should be less than"),
    "approvals as a truth": (MINIMAL + "approvals = true", "rules “money”, approvals: input should be a valid integer"),
    "an unknown notify": (MINIMAL + 'notify = "shout"', "rules “money”, notify: input should be 'none'"),
    "nobody asks": (changed('ask = ["agents"]\n', ""), "rules “money”: ask is missing"),
    "nobody approves": (changed('approve = ["agents"]\n', ""), "rules “money”: approve is missing"),
    "an unknown asker": (
        changed('ask = ["agents"]', 'ask = ["agent"]'),
        "rules “money”, ask: there is no group “agent”",
    ),
    "an unknown power": (
        MINIMAL + '[powers]\nread = ["x"]',
        "powers, read: there is no group “x”; write one of [groups]: a",
    ),
    "powers that are none": ("powers = 1\n" + MINIMAL, "powers: input should be an object"),
    "two rules of a name": (MINIMAL + MINIMAL[MINIMAL.index("[[") :], "rules “money”: two have this name"),
    "two limits of a name": (MINIMAL + LIMIT + LIMIT, "limits “day”: two have this name"),
    "a limit on no money": (
        MINIMAL + changed("refund", "cancel", text=LIMIT),
        "limits “day”, operations: a limit counts",
    ),
    "a limit of nothing": (MINIMAL + changed('"5"', '"0"', text=LIMIT), "limits “day”, total: "),
    "a limit for ever": (MINIMAL + changed("1d", "367d", text=LIMIT), "limits “day”, within: write a duration"),
    "no currency, no total": (MINIMAL + changed('"KWD"', '"kwd"', text=LIMIT), "limits “day”, currency: "),
    "a duration in words": (MINIMAL + '[timing]\nlapse_after = "an hour"', "timing, lapse_after: write a duration"),
    "a duration as number": (MINIMAL + "[timing]\nremind_after = [5]", "timing, remind_after: write a duration"),
    "no duration at all": (MINIMAL + '[timing]\nlapse_after = "0h"', "timing, lapse_after: write a duration"),
    "a url as host": (
        MINIMAL + '[disclosure]\nhosts = ["https://a.b"]',
        "disclosure, hosts: “https://a.b” is no plain",
    ),
    "a long host": (MINIMAL + f'[disclosure]\nhosts = ["{"a." * 200}a"]', "is no plain host name"),
    "settled too early": (MINIMAL + "[timing]\nsettle_seconds = 60", "timing: settle_seconds must be more than"),
    "no name in a text": (ruled('operations = ["refund"]\nblock = " x"', ask=""), "rules “r”, block: holds a line"),
    "a block with askers": (ruled('operations = ["refund"]\nblock = "No."'), "rules “r”: approve means nothing beside"),
    "unapproved refund": (
        ruled('operations = ["cancel", "refund"]\napprovals = 0'),
        "approvals = 0 is refused for refund",
    ),
    "unapproved capture": (ruled('operations = ["capture"]\napprovals = 0'), "approvals = 0 is refused for capture"),
    "unapproved void": (ruled('operations = ["void"]\napprovals = 0'), "approvals = 0 is refused for void"),
    "approved inquiry": (ruled('operations = ["inquiry"]\napprovals = 1'), "approvals must be 0 for an inquiry"),
    "approved as the rest": (ruled('operations = ["cancel", "inquiry"]'), "approvals must be 0 for an inquiry"),
    "inquiry of a currency": (
        ruled('operations = ["inquiry"]\napprovals = 0\ncurrency = "KWD"'),
        "rules “r”: an inquiry has no currency",
    ),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_one_line_that_names_the_key_and_what_to_write(text: str, expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(text)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("policy: ")
    assert len(str(caught.value)) < 900


@pytest.mark.parametrize("line", ["settle_seconds = 59.9\ndeadline_seconds = 2", "inquiry_gap_seconds = 59"])
def test_waits_shorter_than_real_need_a_stand_in_for_ottu(line: str) -> None:
    with pytest.raises(PolicyError, match=r"timing, [a-z_]+: write 60 or more"):
        load(f"{MINIMAL}[timing]\n{line}")
    load(f"{MINIMAL}[timing]\n{line}", loopback=True)


def test_fractions_of_a_second_are_possible() -> None:
    timing = load(f"{MINIMAL}[timing]\nsettle_seconds = 0.5\ndeadline_seconds = 0.2", loopback=True).timing
    assert (timing.settle_seconds, timing.deadline_seconds) == (0.5, 0.2)


REFUSED_PATTERNS = {
    "(": "no regular expression",
    "[[:alpha:]]+": "no regular expression",
    "a\nb+": "no regular expression",
    "requird": "plain word",
    "(a+)+": "repeats a group",
    "(a|b){2}": "repeats a group",
    "(?x)(a+) +": "repeats a group",
    "(a+)(?#x)+": "repeats a group",
    ".*.*.*.*": "too many ways",
    "a?" * 20: "too many ways",
    "(a|a)" * 20: "too many ways",
    "a{0,300}" * 4 + "b{0,0}": "too many ways",
}


@pytest.mark.parametrize(("pattern", "problem"), REFUSED_PATTERNS.items())
def test_a_pattern_that_could_stop_the_program_is_refused(pattern: str, problem: str) -> None:
    escaped = pattern.replace("\n", "\\n")
    with pytest.raises(PolicyError, match=problem):
        load(f'{MINIMAL}reason = "{escaped}"')


@pytest.mark.parametrize(
    "pattern",
    [r"[A-Z]+-\d+( .*)?", r"(OPS|PAY|CS)-\d{3,6}", r"\d{4}-\d{2}-\d{2}", r"(?P<team>[(+*]{2})\)+", r"(?i)ticket \d+.*"],
)
def test_a_ticket_number_can_be_asked_for(pattern: str) -> None:
    assert load(f"{MINIMAL}reason = '{pattern}'").rules[0].reason == pattern


@pytest.mark.parametrize("pattern", [".*.*.*x", "(a?)(a?)(a?)(a?)(a?)(a?)(a?)a*a*x", "(a|a)" * 12 + "a*x"])
def test_the_slowest_pattern_that_is_allowed_is_quick(pattern: str) -> None:
    policy = load(f"{MINIMAL}reason = '{pattern}'")
    began = time.monotonic()
    assert policy.reason_problem(policy.rules[0], "a" * 500)
    assert time.monotonic() - began < 2


def test_hash_follows_the_meaning_and_not_the_layout() -> None:
    spaced = MINIMAL.replace("\n", "\n\n# a remark\n")
    assert load(MINIMAL).hash == load(spaced).hash
    assert load(MINIMAL).hash != load(changed("U01", "U02")).hash
    assert load(MINIMAL).rules[0].hash == load(changed("U01", "U02")).rules[0].hash
    assert re.fullmatch(r"[0-9a-f]{64}", load(MINIMAL).rules[0].hash)


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(MINIMAL).rules[0].approvals = 0


def test_every_key_has_a_hint_and_every_hint_a_key() -> None:
    tables: tuple[type[Table], ...] = (PolicyFile, Channels, Powers, Rule, Limit, Disclosure, Timing)
    keys = {field.alias or name for table in tables for name, field in table.model_fields.items()}
    assert keys == set(HINTS)


def test_durations_are_shown_as_they_are_written() -> None:
    assert [duration_text(seconds) for seconds in (86_400, 5_400, 3_600, 61)] == ["1d", "90m", "1h", "61s"]
