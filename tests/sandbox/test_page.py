"""The page of the local Slack in a real browser, with the real bot behind it.

Skipped where no browser is installed; with CI=true in the environment its absence is a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Request, Route, ViewportSize, expect

from approvals.request import State
from tests.bot.test_asking_form import SEVERAL
from tests.bot.world import ALICE, BOB, GEN, OTHER, POLICY, World, a_world
from tests.browsers import CONTRAST_LEAST, DESKTOP, FAINT_TEXTS, PHONE, TOO_WIDE, a_browser

# One browser, and so one event loop, for all of this file.
pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = "<img src=x onerror=document.title='owned'>"


@dataclass
class Window:
    """A browser's window on the page of a world. `complaints` is what the browser itself finds wrong."""

    page: Page
    world: World
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note errors of the script, and requests to any other place."""
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type != "log" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._watch_request)

    def _watch_request(self, request: Request) -> None:
        if not request.url.startswith((self.world.slack.state.base_url, "data:")):
            self.complaints.append(f"a request to {request.url}")

    async def open(self) -> None:
        await self.page.goto(self.world.slack.state.base_url)
        await expect(self.page.get_by_text("bot connected")).to_be_visible()

    async def be(self, name: str) -> None:
        """Become that person; the page catches up by itself."""
        await self.page.get_by_role("radiogroup", name="You are").get_by_label(name).check()

    async def type(self, line: str) -> None:
        await self.page.get_by_label("a command or a message").fill(line)
        await self.page.keyboard.press("Enter")

    async def press(self, name: str) -> None:
        """Press a button: of the dialog where one is open, else of the newest message that has it."""
        await self.page.get_by_role("button", name=name, exact=True).last.click()

    @property
    def messages(self) -> Locator:
        return self.page.get_by_role("log", name="messages")

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    async def sees(self, *texts: str) -> None:
        """Wait until all of that is on the screen, or can be scrolled to, among the messages."""
        for text in texts:
            await expect(self.messages).to_contain_text(text)

    async def money(self) -> Locator:
        """The ledger, unfolded: a phone shows its first line only."""
        money = self.page.locator("#money")
        if await money.get_attribute("open") is None:
            await money.locator("summary").click()
        return money.get_by_role("table")

    async def check(self) -> None:
        """Nothing went wrong in the browser, and nothing has to be scrolled sideways."""
        assert await self.page.evaluate(TOO_WIDE) == []
        assert self.complaints == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as browser:
        yield browser


@asynccontextmanager
async def a_window(
    browser: Browser,
    folder: Path,
    size: tuple[int, int] = DESKTOP,
    colors: Literal["light", "dark"] = "light",
    policy: str = POLICY,
) -> AsyncIterator[Window]:
    """A window of that size, in pixels, on the page of a new world; at the end it is checked."""
    async with a_world(folder, policy=policy) as world:
        shape = ViewportSize(width=size[0], height=size[1])
        page = await browser.new_page(viewport=shape, color_scheme=colors)
        try:
            window = Window(page, world)
            window.watch()
            await window.open()
            yield window
            await window.check()
        finally:
            await page.close()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_alice_types_bob_confirms_and_the_money_is_shown(
    browser: Browser, tmp_path: Path, size: tuple[int, int]
) -> None:
    async with a_window(browser, tmp_path, size) as window:
        await window.be("Alice")
        await window.type("/ottu refund ORD123 5.000 damaged in transit")
        await window.sees("Refund 5.000 KWD · ORD123", "Waiting for approval", "damaged in transit")
        await expect(window.page.get_by_text("nothing yet")).to_be_visible()

        await window.be("Bob")
        await window.press("Approve")
        await expect(window.dialog).to_contain_text("Refund 5.000 KWD · ORD123")
        assert window.world.nothing_done()  # the first press only asks
        await window.press("Approve 5.000 KWD")

        await window.sees("Done", "Refunded 5.000 KWD of ORD123", "@Alice asked, @Bob approved")
        await expect(window.page.get_by_text("1 movement")).to_be_visible()
        await expect(await window.money()).to_contain_text("refundORD1235.000 KWD")
        await expect(await window.money()).to_contain_text(window.world.request().tracking_key or "no key")
        assert window.world.moved() == [("refund", "ORD123", "5.000", "KWD")]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_a_rejection_is_given_in_the_form(browser: Browser, tmp_path: Path, size: tuple[int, int]) -> None:
    """An empty form is not sent; the reason stands on the card and in its thread."""
    async with a_window(browser, tmp_path, size) as window:
        await window.world.ask()
        await window.be("Bob")
        await window.press("Reject")
        await expect(window.dialog.get_by_label("Why?")).to_be_focused()
        await window.press("Reject")
        await expect(window.dialog).to_be_visible()
        await window.dialog.get_by_label("Why?").fill("duplicate of ticket 7")
        await window.press("Reject")

        await expect(window.dialog).to_be_hidden()
        await window.sees("Rejected by @Bob: duplicate of ticket 7")
        await expect(window.page.get_by_text("1 reply")).to_be_visible()
        await window.sees("@Alice asked, @Bob rejected.")
        assert window.world.operations_sent() == []


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_a_request_is_asked_for_in_the_form(browser: Browser, tmp_path: Path, size: tuple[int, int]) -> None:
    """From the menu of shortcuts; what is wrong stands at its field, and what was chosen and typed stays."""
    async with a_window(browser, tmp_path, size) as window:
        form = window.dialog
        await window.press("shortcuts")
        await window.press("New request")
        await expect(form.get_by_label("What is to be done?")).to_be_focused()
        await window.press("Ask")
        await expect(form).to_be_visible()  # the browser itself insists on what must be filled in
        await form.get_by_label("What is to be done?").select_option("Refund")
        await form.get_by_label("Order number or session id").fill("ORD123")
        await form.get_by_label("Amount").fill("5,000")
        await form.get_by_label("Where does the money go?").select_option("Into the customer's wallet (refunds only)")
        await form.get_by_label("Reason").fill("two\nlines")
        await window.press("Ask")

        await expect(form.get_by_role("alert")).to_contain_text("Type the one you mean.")
        await expect(form.get_by_label("Amount")).to_be_focused()
        await expect(form.get_by_label("What is to be done?")).to_have_value("refund")
        await expect(form.get_by_label("Reason")).to_have_value("two\nlines")
        assert await window.page.evaluate(FAINT_TEXTS, CONTRAST_LEAST) == []
        await form.get_by_label("Amount").fill("5.000 KWD")
        await window.press("Ask")

        await expect(form).to_be_hidden()
        await window.sees("Refund 5.000 KWD to the wallet · ORD123", "Waiting for approval", "two lines")
        await window.page.get_by_role("button", name="Messages").click()
        await window.sees("Got it: refund 5.000 KWD of ORD123 to the wallet.", "the card comes in #payments")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_a_message_is_asked_for_and_the_channel_chosen(
    browser: Browser, tmp_path: Path, size: tuple[int, int]
) -> None:
    async with a_window(browser, tmp_path, size, policy=SEVERAL) as window:
        window.world.slack.say(BOB, GEN, "please refund ORD123, 5.000 KWD")
        await window.press("shortcuts of this message")
        await window.press("Request from message")
        form = window.dialog
        await expect(form.get_by_label("Order number or session id")).to_have_value("ORD123")
        await expect(form.get_by_label("Amount")).to_have_value("5.000 KWD")
        await expect(form).to_contain_text("Requests are taken in #payments, #random.")
        await form.get_by_label("Where is it decided?").select_option("#audit")
        await window.press("Ask")
        await expect(form.get_by_role("alert")).to_contain_text("Requests are not taken there.")
        await form.get_by_label("Where is it decided?").select_option("#random")
        await window.press("Ask")
        await expect(form).to_be_hidden()
        await window.page.get_by_role("navigation").get_by_role("button", name="random").click()
        await window.sees("Refund 5.000 KWD · ORD123", "Waiting for approval")


async def test_the_same_is_asked_for_again(browser: Browser, tmp_path: Path) -> None:
    async with a_window(browser, tmp_path) as window:
        await window.type("/ottu refund ORD123 5000.000 damaged")
        await window.press("Same again, corrected")
        await expect(window.dialog.get_by_label("Amount")).to_have_value("5000.000")
        await window.dialog.get_by_label("Amount").fill("5.000")
        await window.press("Ask")
        await window.sees("Refund 5.000 KWD · ORD123", "Reason: damaged")


async def test_what_is_private_is_marked_and_nobody_else_sees_it(browser: Browser, tmp_path: Path) -> None:
    async with a_window(browser, tmp_path) as window:
        await window.be("Alice")
        await window.type("/ottu help")
        await window.sees("only you can see this", "/ottu refund <reference>")
        await window.be("Bob")
        await window.sees("Nothing here yet.")
        await expect(window.messages).not_to_contain_text("/ottu refund <reference>")


async def test_what_people_type_stays_text(browser: Browser, tmp_path: Path) -> None:
    """Tags in a reason, a rejection, an ordinary message and an order number of Ottu are shown, not obeyed."""
    async with a_window(browser, tmp_path) as window:
        order_no = "<b>bold</b>"
        window.world.ottu.create(order_no, "3.000", "KWD")
        await window.world.ottu.dashboard("refund", order_no, "1.000")
        await window.type(EVIL)
        await window.type(f"/ottu refund ORD123 5.000 {EVIL}")
        await window.sees(f"Reason: {EVIL}")
        await window.be("Bob")
        await window.press("Reject")
        await window.dialog.get_by_label("Why?").fill(EVIL)
        await window.press("Reject")
        await window.sees(f"Rejected by @Bob: {EVIL}")
        await expect(await window.money()).to_contain_text(order_no)

        assert await window.page.locator("img, main b b, table b").count() == 0
        assert await window.page.title() == "A local Slack"


async def test_the_keyboard_is_enough(browser: Browser, tmp_path: Path) -> None:
    """The dialog begins at its harmless button; when a card changes, focus stays at it."""
    async with a_window(browser, tmp_path) as window:
        keys, line = window.page.keyboard, window.page.get_by_label("a command or a message")
        await line.focus()
        await keys.type("/ottu refund ORD123 5.000")
        await keys.press("Enter")
        await window.sees("Waiting for approval")
        await keys.press("ArrowUp")
        await expect(line).to_have_value("/ottu refund ORD123 5.000")

        await window.page.get_by_label("Alice").focus()
        await keys.press("ArrowRight")
        await expect(window.page.get_by_label("Bob")).to_be_checked()
        await expect(window.messages).not_to_contain_text("only you can see this")
        approve = window.page.get_by_role("button", name="Approve", exact=True)
        await approve.focus()
        await keys.press("Enter")
        await expect(window.dialog.get_by_role("button", name="Back")).to_be_focused()
        await keys.press("Escape")
        await expect(approve).to_be_focused()
        await expect(approve).not_to_have_attribute("aria-busy", "true")
        assert window.world.nothing_done()

        await keys.press("Enter")
        await keys.press("Tab")
        await expect(window.dialog.get_by_role("button", name="Approve 5.000 KWD")).to_be_focused()
        await keys.press("Enter")
        await window.sees("Refunded 5.000 KWD of ORD123")
        assert await window.page.evaluate("document.activeElement.closest('article').innerText.includes('Done')")


async def test_one_can_be_everybody_in_turn(browser: Browser, tmp_path: Path) -> None:
    """No question to the server is left open: a browser has only six connections to one."""
    async with a_window(browser, tmp_path) as window:
        for number in range(8):
            window.world.slack.add_person(f"U1{number}", f"Guest {number}")
        for number in range(8):
            await window.be(f"Guest {number}")
            await window.sees("Nothing here yet.")
        await window.be("Alice")
        await window.type("/ottu help")
        await window.sees("/ottu refund <reference>")


async def test_what_is_typed_before_the_page_has_caught_up_goes_where_the_page_then_is(
    browser: Browser, tmp_path: Path
) -> None:
    """The person before was in another place, and the server is slow to say what the new one sees."""
    async with a_window(browser, tmp_path) as window:

        async def slowly(route: Route) -> None:
            await asyncio.sleep(0.5)
            await route.continue_()

        await window.be("Alice")
        await window.page.get_by_role("button", name="Messages").click()
        await window.page.route("**/state?user=U02BOB*", slowly)
        await window.be("Bob")
        await window.type("/ottu help")
        await window.sees("/ottu refund <reference>")


async def test_news_elsewhere_is_marked_until_it_is_read(browser: Browser, tmp_path: Path) -> None:
    async with a_window(browser, tmp_path) as window:
        random = window.page.get_by_role("navigation").get_by_role("button", name="random")
        window.world.slack.say(ALICE, OTHER, "lunch?")
        await expect(random).to_contain_text("new")
        await random.click()
        await window.sees("lunch?")
        await expect(random).not_to_contain_text("new")


@pytest.mark.parametrize("colors", ["light", "dark"])
async def test_every_text_can_be_read(browser: Browser, tmp_path: Path, colors: Literal["light", "dark"]) -> None:
    """Buttons, the people, the card, a private answer and the ledger, in both colour schemes."""
    async with a_window(browser, tmp_path, colors=colors) as window:
        await window.world.approved()
        await window.world.reaches(State.SUCCEEDED)
        await window.type("/ottu help")
        await window.type("/ottu refund USD55 9.99 wrong item")
        await window.sees("only you can see this", "wrong item")
        await expect(await window.money()).to_contain_text("ORD123")
        assert await window.page.evaluate(FAINT_TEXTS, CONTRAST_LEAST) == []
        await window.press("Reject")
        await expect(window.dialog).to_be_visible()
        assert await window.page.evaluate(FAINT_TEXTS, CONTRAST_LEAST) == []


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_bob_approves_in_his_home(browser: Browser, tmp_path: Path, size: tuple[int, int]) -> None:
    """He opens the tab, confirms the amount, and sees there what became of it; Alice sees hers."""
    async with a_window(browser, tmp_path, size) as window:
        await window.world.ask("refund ORD123 5.000 damaged in transit")
        await window.be("Bob")
        await window.page.get_by_role("button", name="Home", exact=True).click()
        await window.sees("1 for you to decide", "Refund 5.000 KWD · ORD123", "asked by @Alice", "damaged in transit")
        await window.sees("Left to refund", "20.000 KWD")
        await window.check()
        assert await window.page.evaluate(FAINT_TEXTS, CONTRAST_LEAST) == []
        await window.press("Approve")
        await expect(window.dialog).to_contain_text("Refund 5.000 KWD · ORD123")
        assert window.world.nothing_done()  # the first press only asks
        await window.press("Approve 5.000 KWD")
        await window.sees("Nothing waits for you", "Done")
        assert window.world.moved() == [("refund", "ORD123", "5.000", "KWD")]

        await window.be("Alice")
        await window.page.get_by_role("button", name="Home", exact=True).click()
        await window.sees("Your requests (1)", "Done")
