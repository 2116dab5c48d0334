"""A real browser, the one of this system, and what is checked of every page: that all fits and can be read."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",  # as root there is none; the page is our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP, PHONE = (1200, 800), (390, 844)
CONTRAST_LEAST = 4.5  # WCAG 2.2, success criterion 1.4.3, level AA

# The parts of the page whose content is wider than they are.
TOO_WIDE = """() => [document.documentElement, ...document.body.children]
  .filter(part => part.scrollWidth > part.clientWidth + 1).map(part => part.tagName)"""

# Every text on the screen that stands out too little from what is behind it.
FAINT_TEXTS = """least => {
  const rgb = color => color.match(/[\\d.]+/g).map(Number);
  const light = color => rgb(color).slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
  const opaque = node => (rgb(getComputedStyle(node).backgroundColor)[3] ?? 1) === 1;
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim(), node = texts.currentNode.parentElement;
    if (!text || !node.checkVisibility()) continue;
    let behind = node;
    while (!opaque(behind)) behind = behind.parentElement;
    const front = light(getComputedStyle(node).color), back = light(getComputedStyle(behind).backgroundColor);
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (contrast < least) faint.push(`${text.slice(0, 40)}: ${contrast.toFixed(1)}`);
  }
  return faint;
}"""


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """The browser of this system; nothing is ever downloaded.

    Without one the test is skipped; with CI=true in the environment its absence is a failure.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        nothing = f"none of {', '.join(BROWSERS)} is on the PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(nothing)
        pytest.skip(nothing)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        await browser.close()
