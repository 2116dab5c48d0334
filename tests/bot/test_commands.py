"""The grammar of `/ottu`: what each line means, and what is said to one that means nothing."""

from __future__ import annotations

import pytest

from approvals.request import Operation
from approvals.sentences.usage import COMMANDS
from bot.commands import (
    USAGE,
    Ask,
    Close,
    Command,
    CommandError,
    Help,
    History,
    Inquire,
    Nothing,
    Pause,
    Pending,
    Reference,
    Reject,
    Resume,
    Status,
    Withdraw,
    check_reason,
    help_text,
    normalise_request_id,
    parse,
    parse_reference,
)
from bot.slack_text import decode

SESSION = "0123456789abcdef0123456789abcdef01234567"
ORDER = Reference("order", "ORD1")
REFUND = "Type `/ottu refund <reference> <amount|full> [CUR] [--wallet] [reason …]`, for example "
REFUND += "`/ottu refund ORD123 5.000 KWD damaged on arrival`."


def refund(
    reference: Reference = ORDER,
    amount: str = "5.000",
    currency: str | None = None,
    *,
    wallet: bool = False,
    reason: str = "",
) -> Ask:
    """A whole refund, of which a test names what it is about."""
    return Ask(Operation.REFUND, reference, amount, currency, "wallet" if wallet else "pg", reason)


def refused(text: str) -> tuple[str, str]:
    """The kind and the sentence with which the text is refused."""
    with pytest.raises(CommandError) as refusal:
        parse(text)
    return refusal.value.kind, str(refusal.value)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("", Nothing()),
        (" \n\u00a0", Nothing()),
        ("refund ORD1 5.000", refund()),
        ("  ReFund   ORD1  5.000  ", refund()),
        ("refund\nORD1\t5.000\nlate,\nsorry", refund(reason="late, sorry")),
        ("refund ORD1 Full", refund(amount="full")),
        ("refund ORD1 full KWD", refund(amount="full", currency="KWD")),
        ("refund ORD1 5.000 KWD", refund(currency="KWD")),
        ("refund ORD1 5.000 KWD it's  late", refund(currency="KWD", reason="it's  late")),
        ("refund ORD1 5.000 kwd", refund(reason="kwd")),
        ("refund ORD1 5.000 VIP customer", refund(reason="VIP customer")),
        ("refund ORD1 5.000 KWDX", refund(reason="KWDX")),
        ("refund ORD1 5.000 for KWD", refund(reason="for KWD")),
        ("capture ORD1 5", Ask(Operation.CAPTURE, ORDER, "5", None, "pg", "")),
        ("void ORD1", Ask(Operation.VOID, ORDER, None, None, "pg", "")),
        ("cancel ORD1 twice ordered", Ask(Operation.CANCEL, ORDER, None, None, "pg", "twice ordered")),
        ("EXPIRE ORD1", Ask(Operation.EXPIRE, ORDER, None, None, "pg", "")),
        ("delete ORD1 5th try", Ask(Operation.DELETE, ORDER, None, None, "pg", "5th try")),
        ("void ORD1 2024-01-15", Ask(Operation.VOID, ORDER, None, None, "pg", "2024-01-15")),
        ("void ORD1 full of errors", Ask(Operation.VOID, ORDER, None, None, "pg", "full of errors")),
        ("inquiry ORD1", Inquire(ORDER, disclose=False, disclosure_url=None)),
        ("inquiry ORD1 --disclose", Inquire(ORDER, disclose=True, disclosure_url=None)),
        (
            "inquiry ORD1 —Disclose https://hooks.example.com:8443/a?b=1",
            Inquire(ORDER, disclose=True, disclosure_url="https://hooks.example.com:8443/a?b=1"),
        ),
        ("status ORD1", Status(ORDER)),
        ("status r-7k2o", Status("R-7K20")),
        ("status order:R-7K2M", Status(Reference("order", "R-7K2M"))),
        ("status R-7K", Status(Reference("order", "R-7K"))),
        ("pending", Pending()),
        ("history ORD1", History(ORDER)),
        ("withdraw R-7K2M", Withdraw("R-7K2M")),
        ("withdraw ORD1", Withdraw(ORDER)),
        ("reject r-7k2m not ours", Reject("R-7K2M", "not ours")),
        ("close R-7K2M Succeeded bank says 884512", Close("R-7K2M", "succeeded", "bank says 884512")),
        ("close R-7K2M failed 5.000 is missing", Close("R-7K2M", "failed", "5.000 is missing")),
        ("pause", Pause("")),
        ("pause gateway down", Pause("gateway down")),
        ("resume", Resume()),
        ("help", Help(None)),
        ("help Refund", Help("refund")),
    ],
)
def test_each_line_is_read_as_the_command_that_it_is(text: str, command: Command) -> None:
    assert parse(text) == command


@pytest.mark.parametrize(
    ("typed", "reference"),
    [
        ("ord-1/ä", Reference("order", "ord-1/ä")),
        ("#12", Reference("order", "#12")),
        ('OR"D', Reference("order", 'OR"D')),
        ("O'Hara", Reference("order", "O'Hara")),
        ('"ORD 1"', Reference("order", "ORD 1")),
        ("“ORD 1”", Reference("order", "ORD 1")),
        ('" ORD  1 "', Reference("order", " ORD  1 ")),
        ('order:"ORD 1"', Reference("order", "ORD 1")),
        ('"order:ORD 1"', Reference("order", "ORD 1")),
        ("order:order:1", Reference("order", "order:1")),
        ("Order:1", Reference("order", "Order:1")),
        ("order:@bob", Reference("order", "@bob")),
        ('"--wallet"', Reference("order", "--wallet")),
        (SESSION, Reference("session", SESSION)),
        (SESSION.upper(), Reference("session", SESSION)),
        (f"session:{SESSION}", Reference("session", SESSION)),
        (f"order:{SESSION}", Reference("order", SESSION)),
        (f"{SESSION}0", Reference("order", f"{SESSION}0")),
        ("x" * 128, Reference("order", "x" * 128)),
    ],
)
def test_a_reference_is_taken_as_typed(typed: str, reference: Reference) -> None:
    """In a command and in a form's field alike; what it becomes is what Ottu is asked for."""
    assert parse(f"refund {typed} 5.000") == refund(reference)
    assert parse_reference(typed) == reference


def test_a_form_needs_no_quotes_for_spaces() -> None:
    assert parse_reference("  ORD 1 ") == Reference("order", "ORD 1")
    with pytest.raises(CommandError, match="nothing after it"):
        parse_reference('"ORD 1" 2')


@pytest.mark.parametrize(
    ("typed", "kind", "sentence"),
    [
        ('"ORD 1', "reference", 'Close the quotes, and type a space after them: `"ORD 123"`.'),
        ('"ORD"1', "reference", 'Close the quotes, and type a space after them: `"ORD 123"`.'),
        ('""', "reference", "Type an order number or a session id, such as `ORD123`."),
        ("order:", "reference", "Type an order number or a session id, such as `ORD123`."),
        ("session:abc", "reference", "A session id is 40 hexadecimal digits: type all of them."),
        ("x" * 129, "reference", "An order number has at most 128 characters."),
        ("<@U123>", "reference", "A mention is no order number: type one such as `ORD123`."),
        ("<@U123|bob b>", "reference", "A mention is no order number: type one such as `ORD123`."),
        ("order:<@U123>", "reference", "A mention is no order number: type one such as `ORD123`."),
        ("ORD<#C1|general>", "reference", "A mention is no order number: type one such as `ORD123`."),
        ("<!here>", "reference", "A mention is no order number: type one such as `ORD123`."),
        ("&lt;!here&gt;", "reference", "A mention is no order number: type one such as `ORD123`."),
        ("@bob", "reference", "A mention is no order number: type one such as `ORD123`."),
        ("OR\u200bD", "characters", "There is an invisible character in the reference: type it instead of pasting it."),
        ("OR\u202eD", "characters", "There is an invisible character in it: type it instead of pasting it."),
        ("OR\x00D", "characters", "There is an invisible character in it: type it instead of pasting it."),
        ("OR\ud800D", "characters", "There is an invisible character in it: type it instead of pasting it."),
        ("--wallet ORD1", "option", f"The reference comes before the options. {REFUND}"),
    ],
)
def test_what_names_no_transaction_is_refused(typed: str, kind: str, sentence: str) -> None:
    """Characters that cannot be seen make two order numbers look alike."""
    assert refused(f"refund {typed} 5.000") == (kind, sentence)


@pytest.mark.parametrize("dashes", ["--", "—", "–", "---", "—-", "-–"])
@pytest.mark.parametrize(
    "place", ["refund ORD1 {} 5.000 why so", "refund ORD1 5.000 {} why so", "refund ORD1 5.000 why so {}"]
)
def test_an_option_is_found_anywhere_and_however_a_phone_spells_it(dashes: str, place: str) -> None:
    """Where `--wallet` is lost in a reason, the money goes to the wrong place."""
    assert parse(place.format(f"{dashes}wallet")) == refund(wallet=True, reason="why so")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("refund ORD1 5.000 -Wallet", refund(wallet=True)),
        ("refund ORD1 5.000 --wallet --wallet", refund(wallet=True)),
        ("refund ORD1 5.000 why --WALLET  so", refund(wallet=True, reason="why so")),
        ("refund ORD1 5.000 – late delivery", refund(reason="– late delivery")),
        ("refund ORD1 5.000 late—delivery", refund(reason="late—delivery")),
        ("refund ORD1 5.000 -late --5 —", refund(reason="-late --5 —")),
    ],
)
def test_a_dash_in_a_reason_is_only_an_option_before_a_letter(text: str, command: Command) -> None:
    assert parse(text) == command


UNKNOWN = (
    "There is no such option; did you mean `--wallet`? Where it belongs to the reason, type a space after the dash."
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("refund ORD1 5.000 --walet", UNKNOWN),
        ("refund ORD1 5.000 --wallet,", UNKNOWN),
        ("refund ORD1 5.000 it was —wallets", UNKNOWN),
        (
            "void ORD1 —xyz",
            "There is no such option. Where it belongs to the reason, type a space after the dash.",
        ),
        (
            "void ORD1 --wallet",
            "`--wallet` is only for refund. Type `/ottu void <reference> [reason …]`, for example `/ottu void ORD123`.",
        ),
        ("refund ORD1 5.000 --disclose", f"`--disclose` is only for inquiry. {REFUND}"),
        (
            "pause --wallet",
            "`--wallet` is only for refund. Type `/ottu pause [reason]`, for example "
            "`/ottu pause gateway maintenance`.",
        ),
    ],
)
def test_an_option_that_does_not_fit_is_refused(text: str, sentence: str) -> None:
    assert refused(text) == ("option", sentence)


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("refund", "usage", REFUND),
        ("refund ORD1", "usage", REFUND),
        ("refund ORD1 --wallet", "usage", REFUND),
        (
            "refund ORD1 5,000",
            "amount",
            "`5.000` (five) or `5000` (five thousand)? Type the one you mean.",
        ),
        ("refund ORD1 5.0000 KWD", "amount", "KWD has 3 decimals: type `5.000`."),
        ("refund ORD1 5KWD", "currency", "Type a space before the currency: `5 KWD`."),
        ("refund ORD1 KWD 5", "currency", "The currency comes after the amount, as in `5.000 KWD`."),
        ("refund ORD1 5.000 KWD, late", "currency", "Type a space after the currency: `KWD`."),
        ("void ORD1 5.000", "amount", "void always takes the whole; type `/ottu void ORD1`."),
        ("void ORD1 5,000 KWD late", "amount", "void always takes the whole; type `/ottu void ORD1`."),
        ("void ORD1 5KWD", "amount", "void always takes the whole; type `/ottu void ORD1`."),
        ('expire "ORD 1" full', "amount", 'expire always takes the whole; type `/ottu expire "ORD 1"`.'),
        ("void ORD1 " + "x" * 501, "too_long", "Type at most 500 characters of reason or evidence."),
        ("x" * 4001, "too_long", "Type at most 4000 characters."),
        ("refnd ORD1", "usage", "There is no such command; did you mean `refund`? Type `/ottu help` for all of them."),
        ("xyzzy", "usage", "There is no such command. Type `/ottu help` for all of them."),
        ("help refnd", "usage", "There is no such command; did you mean `refund`? Type `/ottu help` for all of them."),
        (
            "status",
            "usage",
            "Type `/ottu status <reference | request>`, for example `/ottu status R-7K2M`.",
        ),
        (
            "status ORD 1",
            "usage",
            'status takes nothing after that; quote what has spaces: `/ottu status "ORD 123"`.',
        ),
        ("history R-7K2M", "usage", "That is a request: type `/ottu status R-7K2M`."),
        ("pending all", "usage", "pending takes nothing more. Type `/ottu pending`."),
        ("resume now", "usage", "resume takes nothing more. Type `/ottu resume`."),
        (
            "reject R-7K2M",
            "usage",
            "Type `/ottu reject <request> <reason>`, for example `/ottu reject R-7K2M already refunded`.",
        ),
        (
            "reject ORD1 no",
            "usage",
            "Type `/ottu reject <request> <reason>`, for example `/ottu reject R-7K2M already refunded`.",
        ),
        (
            "inquiry ORD1 please",
            "usage",
            "inquiry takes no amount and no reason. Type `/ottu inquiry <reference> [--disclose [URL]]`, "
            "for example `/ottu inquiry ORD123`.",
        ),
    ],
)
def test_a_line_that_cannot_be_read_is_answered_with_what_to_type(text: str, kind: str, sentence: str) -> None:
    assert refused(text) == (kind, sentence)


@pytest.mark.parametrize(
    "text", ["close R-7K2M", "close R-7K2M succeeded", "close R-7K2M maybe yes", "close ORD1 failed x"]
)
def test_nobody_closes_without_an_outcome_and_evidence(text: str) -> None:
    kind, sentence = refused(text)
    assert (kind, USAGE["close"] in sentence) == ("usage", True)


@pytest.mark.parametrize(
    "address",
    [
        "hooks.example.com",
        "http://hooks.example.com/",
        "https://",
        "https://[",
        "https://hooks.example.com:x/",
        "https://hooks.example.com@evil.example/",
        "https://evil.example\\@hooks.example.com/",
        "https://hooks.example.com/" + "x" * 2000,
    ],
)
def test_an_address_that_could_mislead_is_no_disclosure_address(address: str) -> None:
    """The policy compares the host: it must be the one that is connected to, and never without encryption."""
    assert refused(f"inquiry ORD1 --disclose {address}") == (
        "option",
        "The address begins with `https://`: type it as in `--disclose https://hooks.example.com/ottu`.",
    )


@pytest.mark.parametrize(
    ("sent", "plain"),
    [
        ("a &amp; b &lt;c&gt; &amp;lt; &quot;", "a & b <c> &lt; &quot;"),
        ("<https://shop.example/x|text>", "https://shop.example/x"),
        ("<https://shop.example/?a=1&amp;b=2>", "https://shop.example/?a=1&b=2"),
        ("<mailto:a@b.example|a@b.example>", "a@b.example"),
        ("<tel:+9651234567|1234567>", "1234567"),
        ("<tel:1234567>", "1234567"),
        ("<@U123> <@U123|bob>", "@U123 @bob"),
        ("<#C1|general> <#C1>", "#general #C1"),
        ("<!here> <!channel|channel> <!subteam^S1|@leads> <!subteam^S1>", "@here @channel @leads @S1"),
        ("<!date^1392734382^{date}|18 Feb>", "18 Feb"),
        ("&lt;!channel&gt;", "<!channel>"),
        ("1 < 2 > 1 <b> <>", "1 < 2 > 1 <b> <>"),
    ],
)
def test_what_slack_rewrote_is_undone_once(sent: str, plain: str) -> None:
    """A reason shows what was typed, and cannot ping anybody."""
    assert decode(sent)[0] == plain
    assert parse(f"refund ORD1 5.000 for {sent}") == refund(reason=f"for {plain}")


@pytest.mark.parametrize(
    ("typed", "request_id"),
    [
        ("R-7K2M", "R-7K2M"),
        ("r-il0o", "R-1100"),
        ("R-7K2M9XYZ", "R-7K2M9XYZ"),
        ("R-7K2", None),
        ("R-7K2U", None),
        ("R7K2M", None),
        ("R-7K2M ", None),
        ("R-７K2M", None),
        ("R-" + "7" * 13, None),
    ],
)
def test_a_request_id_is_read_however_it_was_copied(typed: str, request_id: str | None) -> None:
    """Crockford's base 32: people confuse I, L and 1, O and 0; U does not occur."""
    assert normalise_request_id(typed) == request_id


def test_a_reason_from_a_form_obeys_the_same_limits() -> None:
    assert check_reason(" two\nlines ") == "two lines"
    assert check_reason("x" * 500) == "x" * 500
    with pytest.raises(CommandError, match="at most 500"):
        check_reason("x" * 501)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_documented_with_an_example_that_works(name: str) -> None:
    """Help that shows what is refused would be worse than none."""
    parse(COMMANDS[name].example.removeprefix("/ottu "))
    assert COMMANDS[name].example.startswith(f"/ottu {name}")
    assert COMMANDS[name].usage in help_text(name)
    assert COMMANDS[name].usage in help_text(None)
    assert "kept in the record" in help_text(name)


def test_the_help_begins_with_what_needs_no_learning() -> None:
    assert help_text(None).startswith("`/ottu` alone opens a form")


def test_every_operation_has_a_command() -> None:
    assert {operation.value for operation in Operation} <= set(USAGE)
