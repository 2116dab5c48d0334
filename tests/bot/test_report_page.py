"""The monthly report in a real browser: it fits, it can be read, it complains of nothing.

Skipped where no browser is installed; with CI=true in the environment its absence is a failure.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ViewportSize

from bot.report import report
from bot.settings import AuditSettings
from tests.approvals.diary import Diary
from tests.approvals.factories import KEY, open_desk
from tests.approvals.rich_month import write_rich_month
from tests.browsers import CONTRAST_LEAST, DESKTOP, FAINT_TEXTS, PHONE, TOO_WIDE, a_browser

pytestmark = pytest.mark.asyncio(loop_scope="module")

MONTH = "2025-03"
HUGE_MINOR = 9_999_999_999_999_999  # the largest amount that there is: 13 digits before the point

# The pieces of a plot that are not painted, which a colour that the page does not know would be.
UNPAINTED = """() => [...document.querySelectorAll("svg .series rect")]
  .filter(piece => !getComputedStyle(piece).fill.startsWith("rgb")).length"""
# Labels of a plot that lie over one another or stick out of their box.
CROWDED = """() => [...document.querySelectorAll("svg")].flatMap(plot => {
  const box = plot.closest("figure").getBoundingClientRect();
  const texts = [...plot.querySelectorAll("text")].filter(text => text.textContent);
  const at = texts.map(text => text.getBoundingClientRect());
  const over = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom - 3 && b.top < a.bottom - 3;
  return texts.filter((_, i) => at[i].left < box.left || at[i].right > box.right
    || at.some((other, j) => j > i && over(at[i], other))).map(text => text.textContent);
})"""


# Tables that lose columns on paper, where nobody can scroll.
CUT_OFF = """() => [...document.querySelectorAll(".scroll")]
  .filter(part => part.scrollWidth > part.clientWidth + 1).map(part => part.ariaLabel)"""
A4 = ViewportSize(width=718, height=1047)  # in CSS pixels, without a printer's usual margins


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as browser:
        yield browser


@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_a_rich_month_fits_and_can_be_read(
    browser: Browser, tmp_path: Path, size: tuple[int, int], colors: Literal["light", "dark"]
) -> None:
    desk = open_desk(tmp_path)
    write_rich_month(desk.store, MONTH)
    diary = Diary(desk.store, MONTH)
    diary.numbers = itertools.count(5_000)
    diary.done("29 10:00:00", "29 10:05:00", HUGE_MINOR, requester="U0MWQ7GHNWM")
    await check(browser, tmp_path, size, colors)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_an_empty_month_and_an_altered_record_can_be_read(
    browser: Browser, tmp_path: Path, size: tuple[int, int]
) -> None:
    desk = open_desk(tmp_path)
    desk.store.record("paused", "U03CEM", data={"reason": "x"})
    desk.sql("DROP TRIGGER events_fixed")
    desk.sql("UPDATE events SET actor = 'U09DAVE'")
    desk.store.database.conn.commit()
    await check(browser, tmp_path, size, "light", status=1)


async def check(
    browser: Browser, folder: Path, size: tuple[int, int], colors: Literal["light", "dark"], *, status: int = 0
) -> None:
    path = folder / "page.html"
    settings = AuditSettings(folder / "bot.db", folder, KEY.secret)
    assert report(settings, month=MONTH, to=str(path), unkeyed_until=0) == status
    page = await browser.new_page(viewport=ViewportSize(width=size[0], height=size[1]), color_scheme=colors)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text))
    page.on("request", lambda asked: complaints.append(asked.url) if asked.url != path.as_uri() else None)
    try:
        await page.goto(path.as_uri())
        await page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert await page.evaluate(TOO_WIDE) == []
        assert await page.evaluate(FAINT_TEXTS, CONTRAST_LEAST) == []
        assert await page.evaluate(UNPAINTED) == 0
        assert await page.evaluate(CROWDED) == []
        assert await page.title() == "Payment operations, March 2025"
        assert await page.locator("img, script").count() == 0
        await page.emulate_media(media="print")
        await page.set_viewport_size(A4)
        assert await page.evaluate(CUT_OFF) == []
        assert await page.evaluate(FAINT_TEXTS, CONTRAST_LEAST) == []
        assert complaints == []
    finally:
        await page.close()
