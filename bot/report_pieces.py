"""The pieces of the monthly report that its sections share: tables, cells, a plot in its box. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bot import report_plots as plots
from bot.markup import Element, Part, tag
from bot.report_plots import Plot
from bot.report_words import moment

Row = Sequence[Part | int]


def table(caption: str, heads: Sequence[str], rows: Iterable[Row], numbers: int = 0) -> Element:
    """A table that scrolls by itself where it is too wide. `numbers`: how many of the last columns hold numbers."""
    first_number = len(heads) - numbers
    classes = ["number" if index >= first_number else "" for index in range(len(heads))]
    head = tag("tr", *(tag("th", name, scope="col", class_=classes[index]) for index, name in enumerate(heads)))
    body = (
        tag("tr", tag("th", row[0] if not isinstance(row[0], int) else str(row[0]), scope="row"), *_cells(row, classes))
        for row in rows
    )
    whole = tag("table", tag("caption", tag("span", caption)), tag("thead", head), tag("tbody", *body))
    return tag("div", whole, class_="scroll", role="region", tabindex="0", aria_label=caption)


def _cells(row: Row, classes: Sequence[str]) -> Iterable[Element]:
    for cell, class_ in list(zip(row, classes, strict=True))[1:]:
        text = str(cell) if isinstance(cell, int) else cell
        if isinstance(cell, Element) and cell.tag == "td":
            yield cell
        else:
            yield tag("td", text, class_=f"{class_} zero".strip() if cell == 0 else class_)


def time(at: str) -> Element:
    return tag("td", moment(at), class_="time")


def words(*parts: Part) -> Element:
    return tag("td", *parts, class_="words")


def _legend(plot: Plot) -> Element:
    swatches = {
        layer.name: tag("span", class_=f"swatch {layer.color[6:-1]}", aria_hidden="true") for layer in plot.layers
    }
    return tag("ul", *(tag("li", swatch, name) for name, swatch in swatches.items()), class_="legend")


def column_box(plot: Plot, *, label_every: int = 1) -> Element:
    """A plot of columns under its title."""
    return _box(plot, plots.columns(plot, label_every=label_every), "columns")


def bar_box(plot: Plot) -> Element:
    """A plot of bars under its title."""
    return _box(plot, plots.bars(plot), "bars")


def _box(plot: Plot, drawn: Element, shape: str) -> Element:
    caption = tag("figcaption", tag("h3", plot.title), _legend(plot) if len(plot.layers) > 1 else None)
    return tag("figure", caption, drawn, class_=f"box {shape}")
