"""`python -m bot`, also `ottu-bot`: run the bot, or one of its tools. Exit status 0, or not, with one clear line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from importlib.metadata import PackageNotFoundError, version

from bot import log
from bot.acquaintance import CannotStart
from bot.app import Bot
from bot.doctor import doctor, policy_check
from bot.settings import SettingsError, load_settings


def run(_arguments: argparse.Namespace) -> int:
    """Run the bot until it is told to stop."""
    settings = load_settings()
    log.set_up(settings.secrets())
    bot = Bot.build(settings)
    asyncio.run(bot.run())
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """Run the main job against a local Slack and a local Ottu."""
    from bot.demo import main as run_demo  # only here: the bot itself needs nothing of it

    return run_demo(stay=sys.stdin.isatty() and sys.stdout.isatty() and not arguments.once)


def check_policy(_arguments: argparse.Namespace) -> int:
    """Check the policy file."""
    return policy_check(load_settings())


def examine(_arguments: argparse.Namespace) -> int:
    """Try everything that the bot needs."""
    return doctor(load_settings())


def show_version(_arguments: argparse.Namespace) -> int:
    """Say which version this is."""
    try:
        print(f"ottu-bot {version('ottu-bot')}")
    except PackageNotFoundError:
        print("ottu-bot, not installed")
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ottu-bot", description="Two-person approval in Slack for Ottu.")
    parser.set_defaults(do=run)
    commands = parser.add_subparsers(title="commands", metavar="")
    commands.add_parser("run", help="run the bot (the default)").set_defaults(do=run)
    showing = commands.add_parser("demo", help="show the main job with a local Slack and a local Ottu")
    showing.add_argument("--once", action="store_true", help="end afterwards, also at a terminal")
    showing.set_defaults(do=demo)
    commands.add_parser("doctor", help="try everything that the bot needs, and say what to do").set_defaults(do=examine)
    policy = commands.add_parser("policy", help="about the policy file").add_subparsers(metavar="", required=True)
    policy.add_parser("check", help="is it right, and who can approve what").set_defaults(do=check_policy)
    commands.add_parser("version", help="say which version this is").set_defaults(do=show_version)
    return parser


def main() -> int:
    """The console script."""
    arguments = parser().parse_args()
    try:
        status: int = arguments.do(arguments)
    except (SettingsError, CannotStart) as error:
        print(f"ottu-bot: {error}", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
