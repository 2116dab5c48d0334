"""How the monthly report writes amounts, times and the short words of the record. Pure."""

from __future__ import annotations

from approvals import money
from approvals.doubts import Way
from approvals.report import Kind
from approvals.request import Request, State

THIN = "\u202f"  # a narrow space that does not break: parts thousands without being taken for a decimal mark

# What can become of a request, for people who count: the heading, the states, the colour.
OUTCOMES: tuple[tuple[str, frozenset[State], str], ...] = (
    ("done", frozenset({State.SUCCEEDED}), "var(--done)"),
    ("queued at the bank", frozenset({State.QUEUED}), "var(--open)"),
    ("waiting", frozenset({State.CHECKING, State.PENDING, State.APPROVED, State.EXECUTING}), "var(--open)"),
    ("unknown", frozenset({State.UNKNOWN}), "var(--doubt)"),
    ("rejected", frozenset({State.REJECTED}), "var(--not)"),
    ("refused", frozenset({State.REFUSED}), "var(--not)"),
    ("withdrawn", frozenset({State.WITHDRAWN}), "var(--not)"),
    ("out of time", frozenset({State.EXPIRED, State.LAPSED}), "var(--not)"),
    ("failed", frozenset({State.FAILED}), "var(--not)"),
)
# The same in the four colours of a plot.
COLORS: tuple[tuple[str, str], ...] = (
    ("done", "var(--done)"),
    ("waiting or queued", "var(--open)"),
    ("unknown", "var(--doubt)"),
    ("not done", "var(--not)"),
)

DONE_NOUNS = {"refund": "Refunded", "capture": "Captured", "void": "Released"}

WAYS: dict[Way, str] = {
    Way.WEBHOOK: "Ottu's signed webhook",
    Way.READING: "reading the transaction from Ottu",
    Way.SENT_AGAIN: "the answer to one more send with the same key",
    Way.LATE_ANSWER: "the answer, which came late",
    Way.TWO_PEOPLE: "the word of two people",
    Way.TIME: "the end of the wait: the bank said nothing",
    Way.RESTORED: "a copy of the database that was put back",
}

# The kinds of refusal that deserve a sentence; the others are words already.
REFUSALS: dict[str, str] = {
    "already_open": "another request for it is open",
    "blocked": "blocked by the policy",
    "card_number": "looks like a card number",
    "limit": "over a limit of the policy",
    "moved_on": "decided already, or gone on",
    "no_rule": "no rule allows it",
    "not_allowed": "not allowed by the policy",
    "not_yours": "somebody else's request",
    "outsider": "a guest, or of another organisation",
    "own_request": "deciding on one's own request",
    "self_approval": "approving one's own request",
    "stale": "the button of an older card",
    "too_many": "too many in a minute",
    "twice": "said already",
}

STOPS: dict[str, str] = {
    "alarm": "Alarm",
    "gave_up": "Gave up",
    "paused": "Paused",
    "resumed": "Resumed",
    "credentials_accepted": "Credentials accepted",
}


def amount(minor: int, currency: str) -> str:
    """`1 234.500 KWD`, with narrow spaces between thousands."""
    whole, point, fraction = money.to_decimal_text(minor, currency).partition(".")
    return f"{int(whole):,}".replace(",", THIN) + f"{point}{fraction}\u00a0{currency}"


def round_amount(minor: int, currency: str) -> str:
    """`1 500` or `0.250`: an amount beside an axis, without needless decimals and without its currency."""
    number, _, _ = amount(minor, currency).partition("\u00a0")
    whole, _, fraction = number.partition(".")
    return number if fraction.strip("0") else whole


def moment(at: str) -> str:
    """`2026-11-03 14:05`, in UTC as the whole page."""
    return at[:16].replace("T", " ")


def duration(seconds: float) -> str:
    """The two largest units: `12 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = round(seconds)
    for length, name, smaller, smaller_name in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= length:
            rest = whole % length // smaller
            return f"{whole // length}\u00a0{name}" + (f" {rest}\u00a0{smaller_name}" if rest else "")
    return f"{whole}\u00a0s"


def refusal(why: str) -> str:
    return REFUSALS.get(why, why.replace("_", " "))


def kind(of: Kind) -> str:
    """`Refund · KWD`, `Cancel`, `Refund · KWD (sandbox)`."""
    named = of.operation.capitalize() + (f"\u00a0·\u00a0{of.currency}" if of.currency else "")
    return f"{named} (sandbox)" if of.is_sandbox else named


def money_of(request: Request) -> str:
    if request.amount_minor is None or request.currency is None:
        return ""
    return amount(request.amount_minor, request.currency)


def transaction(request: Request) -> str:
    return request.order_no or request.reference


def counted(number: int, one: str, many: str = "") -> str:
    """`1 request`, `2 requests`."""
    return f"{number} {one if number == 1 else many or one + 's'}"
