"""`python -m sandbox`: a local Slack and a local Ottu with a page, until SIGTERM or SIGINT.

Prints one line of JSON to standard output: every address and secret that a bot needs to run against the two.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence

from sandbox.ottu import create_ottu, seed_demo
from sandbox.serving import serve
from sandbox.slack import Slack, serve_slack

OTTU_KEY = "sandbox-key"
DEFAULT_REQUEST_URL = "http://127.0.0.1:3000/slack/events"
PARENT_LOOK_SECONDS = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop; 0 then, 1 when a port is taken."""
    options = _options(argv)
    try:
        asyncio.run(_run(options))
    except OSError as error:
        print(f"sandbox: cannot listen: {error}", file=sys.stderr)
        return 1
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--slack-port", type=int, default=8021, help="of the local Slack and the page; 0 is any free")
    parser.add_argument("--ottu-port", type=int, default=8022, help="of the local Ottu; 0 is any free")
    parser.add_argument("--mode", choices=("socket", "http"), default="socket", help="how payloads reach the bot")
    parser.add_argument("--request-url", default=DEFAULT_REQUEST_URL, help="where the bot listens in HTTP mode")
    parser.add_argument("--with-parent", action="store_true", help="end when the process that started this one has")
    return parser.parse_args(argv)


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watch = asyncio.create_task(_stop_with_parent(stop, os.getppid())) if options.with_parent else None
    ottu = create_ottu(api_key=OTTU_KEY)
    seed_demo(ottu)
    request_url = options.request_url if options.mode == "http" else ""
    async with (
        serve(ottu.app, options.ottu_port) as ottu_url,
        serve_slack(port=options.slack_port, request_url=request_url, ottu_base_url=ottu_url) as slack,
    ):
        seed_people(slack)
        print(json.dumps(environment(slack, ottu_url, options.mode)), flush=True)
        await stop.wait()
    if watch is not None:
        watch.cancel()


async def _stop_with_parent(stop: asyncio.Event, parent: int) -> None:
    """An orphan gets another parent; then nobody is left who would stop it."""
    while os.getppid() == parent:  # noqa: ASYNC110  # the system tells nobody when a parent ends
        await asyncio.sleep(PARENT_LOOK_SECONDS)
    stop.set()


def seed_people(slack: Slack) -> None:
    """The people and channels of which the demo and its policy speak."""
    people = {"U01ALICE": "Alice", "U02BOB": "Bob", "U03CEM": "Cem"}
    for user, name in people.items():
        slack.add_person(user, name)
    for channel, name in {"C01GEN": "payments", "C02AUDIT": "audit"}.items():
        slack.add_channel(channel, name, [*people, slack.state.bot_user])


def environment(slack: Slack, ottu_url: str, mode: str) -> dict[str, str]:
    """All that a bot needs to know, and the page for people."""
    state = slack.state
    return {
        "mode": mode,
        "page_url": f"{state.base_url}/",
        "slack_api_url": slack.api_url,
        "slack_control_url": f"{state.base_url}/_control/slack/",
        "slack_bot_token": state.bot_token,
        "slack_app_token": state.app_token,
        "slack_signing_secret": state.signing_secret,
        "slack_request_url": slack.outbox.request_url,
        "ottu_base_url": ottu_url,
        "ottu_control_url": f"{ottu_url}/_control/ottu/",
        "ottu_api_key": OTTU_KEY,
    }


if __name__ == "__main__":
    sys.exit(main())
