"""What the monthly report says of the usual course: requests, money, people, times, with their plots. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from approvals.report import Figures, Kind, Person
from approvals.request import State
from bot.markup import Element, Part, tag
from bot.report_pieces import Row, bar_box, column_box, table
from bot.report_plots import Layer, Plot
from bot.report_words import COLORS, DONE_NOUNS, OUTCOMES, amount, counted, duration, kind, round_amount

PLOTTED_MOST = 12  # kinds and people in a plot; the tables have all
MONEY_PLOTS_MOST = 6
BUCKETS: tuple[tuple[str, float, float], ...] = (
    ("1 min", 0, 60),
    ("5 min", 60, 300),
    ("15 min", 300, 900),
    ("1 h", 900, 3_600),
    ("4 h", 3_600, 14_400),
    ("24 h", 14_400, 86_400),
    ("longer", 86_400, float("inf")),
)


def operations(figures: Figures) -> list[Part]:
    """The sections; what did not happen is said in a sentence."""
    return [*_operations(figures), *_money(figures), *_people(figures), *_approval_times(figures)]


def _operations(figures: Figures) -> Iterable[Part]:
    yield tag("h2", "Operations")
    if not figures.asked:
        yield tag("p", "Nothing was asked in this month.", class_="note")
        return
    asked = sorted(figures.asked.items())
    most = sorted(asked, key=lambda one: -sum(one[1].states.values()))[:PLOTTED_MOST]
    by_kind = Plot(
        "by-kind",
        "Requests by kind",
        "How many requests of each operation and currency, by what became of them.",
        [kind(of) for of, _ in most],
        _outcome_layers([one.states for _, one in most]),
    )
    yield tag("div", _by_day(figures), bar_box(by_kind), class_="plots")
    shown = [(name, group) for name, group, _ in OUTCOMES if any(_count(one.states, group) for _, one in asked)]
    rows: list[Row] = [
        [kind(of), sum(one.states.values()), *(_count(one.states, group) for _, group in shown)] for of, one in asked
    ]
    heads = ["Operation", "asked", *(name for name, _ in shown)]
    yield table("Requests asked in the month, by what has become of them", heads, rows, numbers=len(heads) - 1)
    days = [day for day in figures.month.days if figures.asked_by_day.get(day)]
    by_day: list[Row] = [[day, *(_count(figures.asked_by_day[day], group) for _, group in shown)] for day in days]
    by_day_table = table("Requests by the day on which they were asked", ["Day", *heads[2:]], by_day, len(shown))
    yield tag("details", tag("summary", "The numbers of each day"), by_day_table)


def _by_day(figures: Figures) -> Element:
    none: Counter[State] = Counter()
    days = figures.month.days
    plot = Plot(
        "by-day",
        "Requests by day",
        "How many requests were asked on each day of the month, by what became of them.",
        [str(int(day[8:])) for day in days],
        _outcome_layers([figures.asked_by_day.get(day, none) for day in days]),
    )
    return column_box(plot, label_every=7)


def _money(figures: Figures) -> Iterable[Part]:
    yield tag("h2", "Money moved")
    if not figures.moved:
        yield tag("p", "No money moved in this month.", class_="note")
        return
    moved = sorted(figures.moved.items())
    most = sorted(moved, key=lambda one: -one[1].count)[:MONEY_PLOTS_MOST]
    yield tag("div", *(column_box(_money_plot(figures, of), label_every=7) for of, _ in most), class_="plots small")
    rows: list[Row] = [[kind(of), one.count, amount(one.amount_minor, of.currency)] for of, one in moved]
    yield table("Money that was proven to have moved in the month", ["Operation", "times", "amount"], rows, numbers=2)
    by_day: list[Row] = [
        [day, kind(of), amount(one.by_day[day], of.currency)]
        for day in figures.month.days
        for of, one in moved
        if one.by_day[day]
    ]
    by_day_table = table("Money by the day on which it moved", ["Day", "Operation", "amount"], by_day, numbers=1)
    yield tag("details", tag("summary", "The amounts of each day"), by_day_table)


def _money_plot(figures: Figures, of: Kind) -> Plot:
    days, one = figures.month.days, figures.moved[of]
    sandbox = ", sandbox" if of.is_sandbox else ""
    numbers = [one.by_day[day] for day in days]
    return Plot(
        "money-" + "-".join(filter(None, (of.operation, of.currency, "sandbox" if of.is_sandbox else ""))),
        f"{DONE_NOUNS[of.operation]} by day, {of.currency}{sandbox}",
        f"The amount of each day, in {of.currency}.",
        [str(int(day[8:])) for day in days],
        [Layer("", "var(--done)", numbers)],
        lambda minor: amount(minor, of.currency),
        lambda minor: round_amount(minor, of.currency),
    )


def _people(figures: Figures) -> Iterable[Part]:
    yield tag("h2", "People")
    people = sorted(figures.persons.items(), key=lambda one: (-sum(one[1].asked.values()), one[0]))
    yield tag("div", *_people_plots(people), class_="plots")
    heads = ["Person", "asked", "of these done", "approved", "taken back", "rejected", "withdrew", "closed unknowns"]
    rows: list[Row] = [
        [
            who,
            sum(person.asked.values()),
            person.asked[State.SUCCEEDED],
            person.approved,
            person.taken_back,
            person.rejected,
            person.withdrawn,
            person.closed,
            person.refused,
        ]
        for who, person in people
    ]
    yield table(
        "What each person did in the month, by Slack id", [*heads, "refused attempts"], rows, numbers=len(heads)
    )


def _people_plots(people: Sequence[tuple[str, Person]]) -> Iterable[Part]:
    asking = [(who, person.asked) for who, person in people if person.asked][:PLOTTED_MOST]
    if asking:
        names, states = zip(*asking, strict=True)
        about = "How many requests each person asked, by what became of them."
        yield bar_box(Plot("by-person", "Requests by who asked", about, names, _outcome_layers(states)))
    deciding = sorted(people, key=lambda one: (-one[1].approved - one[1].rejected, one[0]))[:PLOTTED_MOST]
    deciding = [(who, person) for who, person in deciding if person.approved or person.rejected]
    if deciding:
        layers = [
            Layer("approved", "var(--done)", [person.approved for _, person in deciding]),
            Layer("rejected", "var(--not)", [person.rejected for _, person in deciding]),
        ]
        about = "How often each person approved and rejected."
        yield bar_box(Plot("by-decider", "Decisions by person", about, [who for who, _ in deciding], layers))


def _approval_times(figures: Figures) -> Iterable[Part]:
    yield tag("h2", "Time to approval")
    times = figures.approval_times
    if times.median_seconds is None or times.percentile_95_seconds is None:
        yield tag("p", "Nobody approved anything in this month.", class_="note")
        return
    counts = [times.between(least, below) for _, least, below in BUCKETS]
    plot = Plot(
        "approval-times",
        "From the card to the last approval needed",
        "How many requests were approved in less than each span of time, and not in less than the one before.",
        [name for name, _, _ in BUCKETS],
        [Layer("", "var(--open)", counts)],
    )
    said = (
        f"{counted(len(times.seconds), 'request')} approved: half within {duration(times.median_seconds)}, "
        f"95 % within {duration(times.percentile_95_seconds)}, the slowest after {duration(times.seconds[-1])}."
    )
    rows: list[Row] = [[name, number] for (name, _, _), number in zip(BUCKETS, counts, strict=True)]
    yield tag("p", said)
    yield tag(
        "div",
        column_box(plot),
        table("Requests by time to approval", ["In less than", "requests"], rows, 1),
        class_="plots",
    )


def _outcome_layers(states: Sequence[Mapping[State, int]]) -> list[Layer]:
    """The outcomes of several sets of requests in the four colours."""
    return [
        Layer(name, color, [sum(_count(one, group) for _, group, has in OUTCOMES if has == color) for one in states])
        for name, color in COLORS
    ]


def _count(states: Mapping[State, int], group: Iterable[State]) -> int:
    return sum(states.get(state, 0) for state in group)
