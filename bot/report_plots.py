"""Plots of the monthly report: stacked columns and bars as inline SVG, drawn by leather, without any script.

Colours are the page's own CSS variables, so that a plot follows light and dark. A plot is an image with a title and a
description to a screen reader; the same numbers always stand in a table as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import count, pairwise
from xml.etree.ElementTree import Element

import leather

from bot.markup import tag

WIDTH = 480  # in the plot's own units; a phone shows about three quarters of it
_COLUMNS_HEIGHT = 230
_BAR_HEIGHT, _BARS_AROUND = 25, 46
_TICKS_MOST = 5
_LENGTHS = {"x", "y", "width", "height", "x1", "x2", "y1", "y2"}
_FONT_SIZE, _GLYPH_WIDTH = 13, 8.8  # a phone writes larger

leather.theme.margin = 0.03  # of the width: room for half of the last label
leather.theme.background_color = "none"
leather.theme.tick_color = leather.theme.zero_color = "var(--line)"
leather.theme.label_color = "currentColor"
leather.theme.tick_font_family = "inherit"
leather.theme.tick_font_size = _FONT_SIZE
leather.theme.tick_font_char_height, leather.theme.tick_font_char_width = _FONT_SIZE, _GLYPH_WIDTH
leather.theme.legend_font_char_height = leather.theme.legend_gap = 0  # the page has its own


@dataclass(frozen=True)
class Layer:
    """One colour of a stack: its name, its CSS variable, and one number for each label."""

    name: str
    color: str
    numbers: Sequence[int]


@dataclass(frozen=True)
class Plot:
    """What is drawn. `id` must be of its own on the page; `spell` writes a number as people read it."""

    id: str
    title: str
    description: str
    labels: Sequence[str]
    layers: Sequence[Layer]
    spell: Callable[[int], str] = str
    tick: Callable[[int], str] = str  # the same beside the axis, as short as can be

    @property
    def totals(self) -> list[int]:
        return [sum(numbers) for numbers in zip(*(layer.numbers for layer in self.layers), strict=True)]


def columns(plot: Plot, *, label_every: int = 1) -> Element:
    """Standing columns, one for each label; only every so many labels are written."""
    chart, ticks = leather.Chart(), scale(max(plot.totals, default=0))
    chart.add_y_scale(0, ticks[-1])
    chart.add_y_axis(ticks=ticks, tick_formatter=lambda value, *_: plot.tick(value))
    chart.add_x_axis(tick_formatter=lambda value, index, _: value if index % label_every == 0 else "")
    for layer, reached in _cumulated(plot):
        chart.add_columns(list(zip(plot.labels, reached, strict=True)), name=layer.name, fill_color=layer.color)
    return _finished(plot, chart.to_svg_group(WIDTH, _COLUMNS_HEIGHT), _COLUMNS_HEIGHT)


def bars(plot: Plot) -> Element:
    """Lying bars, one for each label, the first on top."""
    chart, ticks = leather.Chart(), scale(max(plot.totals, default=0))
    height = _BARS_AROUND + _BAR_HEIGHT * len(plot.labels)
    chart.add_x_scale(0, ticks[-1])
    chart.add_x_axis(ticks=ticks, tick_formatter=lambda value, *_: plot.tick(value))
    for layer, reached in _cumulated(plot):
        chart.add_bars(list(zip(reached, plot.labels, strict=True)), name=layer.name, fill_color=layer.color)
    return _finished(plot, chart.to_svg_group(WIDTH, height), height)


def scale(most: int) -> list[int]:
    """A handful of ticks from 0 to at least `most`, at round whole numbers."""
    steps = (factor * 10**power for power in count() for factor in (1, 2, 5))
    step = next(step for step in steps if step * _TICKS_MOST >= most)
    return [step * number for number in range(max(-(-most // step), 1) + 1)]


def _cumulated(plot: Plot) -> list[tuple[Layer, list[int]]]:
    """The layers with the heights that they reach in the stack, the outermost first: the inner ones cover it."""
    reached = [0] * len(plot.labels)
    stack = []
    for layer in plot.layers:
        reached = [below + number for below, number in zip(reached, layer.numbers, strict=True)]
        stack.append((layer, reached))
    return stack[::-1]


def _finished(plot: Plot, group: Element, height: int) -> Element:
    """The drawing as an image of the page, each piece with its number to point at."""
    group[1].remove(group[1][0])  # leather's own legend
    drawn = [one for one in group.iter("g") if one.get("class", "").startswith("series")]
    for outer, inner in pairwise(drawn):
        for piece, covered in zip(outer, inner, strict=True):
            _leave_uncovered(piece, covered)
    for layer, series in zip(plot.layers[::-1], drawn, strict=True):
        _name_pieces(plot, layer, series)
    for one in group.iter():
        for name in _LENGTHS.intersection(one.keys()):
            one.set(name, f"{float(one.get(name, 0)):.1f}")
    return tag(
        "svg",
        tag("title", plot.title, id=f"{plot.id}-title"),
        tag("desc", plot.description, id=f"{plot.id}-text"),
        group,
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_labelledby=f"{plot.id}-title",
        aria_describedby=f"{plot.id}-text",
        class_="plot",
    )


def _leave_uncovered(piece: Element, covered: Element) -> None:
    """Of a rectangle from the axis on, only what is beyond the inner one."""
    if piece.get("y") == covered.get("y"):  # both lie: the same row
        inner_width = Decimal(covered.get("width", "0"))
        piece.set("x", str(Decimal(covered.get("x", "0")) + inner_width))
        piece.set("width", str(Decimal(piece.get("width", "0")) - inner_width))
    else:
        piece.set("height", str(Decimal(piece.get("height", "0")) - Decimal(covered.get("height", "0"))))


def _name_pieces(plot: Plot, layer: Layer, series: Element) -> None:
    """Give each rectangle its words; those of nothing go."""
    named = list(zip(plot.labels, layer.numbers, strict=True))
    if "bars" in series.get("class", ""):
        named.reverse()  # leather draws the lowest first
    for piece, (label, number) in zip(list(series), named, strict=True):
        if number:
            piece.append(tag("title", f"{label}: {plot.spell(number)} {layer.name}".strip()))
        else:
            series.remove(piece)
