"""The map: every command, shortcut, action and form of the app, and the function that takes it.

Where does a click on Approve go? `on_button` writes it to the inbox and acknowledges; the worker hands it to
`inbox.on_click`, which asks who this is and calls `approvals.service.approve`; that checks the rule and makes the
guarded move in `approvals.store`. Then `worker` → `executing.execute` (claim) → `perform.send` → `ottu.client` →
`approvals.execution.settle` → `delivery.card`.
"""

from __future__ import annotations

import re

from slack_bolt.async_app import AsyncApp

from bot import asking, home, listeners
from bot.request_form import CALLBACK

COMMAND = "/ottu"
BUTTONS = ("approve", "unapprove", "details", "withdraw", "resend")  # written to the inbox as they are
EVENTS = ("app_home_opened",)
FORM_BUTTONS = ("reject", "close")  # open a form first
GLOBAL_SHORTCUT, MESSAGE_SHORTCUT = "new_request", "request_from_message"


def register(app: AsyncApp) -> None:
    """Tie each route to its listener."""
    app.command(COMMAND)(asking.on_command)
    app.global_shortcut(GLOBAL_SHORTCUT)(asking.on_shortcut)
    app.message_shortcut(MESSAGE_SHORTCUT)(asking.on_shortcut)
    app.action("again")(asking.on_again)
    app.view(CALLBACK)(asking.on_request_form)
    for action in BUTTONS:
        app.action(action)(listeners.on_button)
    for action in FORM_BUTTONS:
        app.action(action)(listeners.on_form_button)
    app.view("reject_form")(listeners.on_reject_form)
    app.view("close_form")(listeners.on_close_form)
    app.action(re.compile(f"^{home.TURN}_"))(listeners.on_home_page)
    for event in EVENTS:
        app.event(event)(listeners.on_home_opened)
