"""`python -m bot`, also `ottu-bot`: run the bot, or one of its tools. Exit status 0, or not, with one clear line."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bot import log
from bot.acquaintance import CannotStart
from bot.app import Bot
from bot.audit import verify_record
from bot.backup import backup, restore
from bot.doctor import doctor, policy_check
from bot.settings import SettingsError, load_audit_settings, load_settings


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


def back_up(arguments: argparse.Namespace) -> int:
    """Copy the database to a new file."""
    return backup(load_settings(), arguments.target)


def put_back(arguments: argparse.Namespace) -> int:
    """Put a copy of the database back."""
    return restore(load_settings(), arguments.source, sure=arguments.yes)


def verify(arguments: argparse.Namespace) -> int:
    """Recompute the chain of events, and derive every row from it anew."""
    return verify_record(load_audit_settings(), unkeyed_until=arguments.unkeyed_until, expected=arguments.expect)


def show_version(_arguments: argparse.Namespace) -> int:
    """Say which version this is."""
    try:
        known = version("ottu-bot")
    except PackageNotFoundError:  # run from its own folder
        project = Path(__file__).parents[1] / "pyproject.toml"
        known = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"] if project.exists() else "?"
    print(f"ottu-bot {known}")
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ottu-bot", description="Two-person approval in Slack for Ottu.")
    parser.set_defaults(do=run)
    commands = parser.add_subparsers(title="commands", metavar="command")
    commands.add_parser("run", help="run the bot (the default)").set_defaults(do=run)
    showing = commands.add_parser("demo", help="show the main job with a local Slack and a local Ottu")
    showing.add_argument("--once", action="store_true", help="end afterwards, also at a terminal")
    showing.set_defaults(do=demo)
    commands.add_parser("doctor", help="try everything that the bot needs, and say what to do").set_defaults(do=examine)
    policy = commands.add_parser("policy", help="about the policy file").add_subparsers(
        metavar="command", required=True
    )
    policy.add_parser("check", help="is it right, and who can approve what").set_defaults(do=check_policy)
    auditing = commands.add_parser("audit", help="about the record").add_subparsers(metavar="command", required=True)
    verifying = auditing.add_parser("verify", help="is the record whole and unaltered")
    verifying.add_argument(
        "--unkeyed-until",
        type=int,
        default=0,
        metavar="SEQ",
        help="AUDIT_KEY was set after this event; known to you only",
    )
    verifying.add_argument(
        "--expect",
        metavar="SEQ:HASH",
        help="an event as Slack shows it, which the record must contain",
    )
    verifying.set_defaults(do=verify)
    copying = commands.add_parser("backup", help="copy the database, while the bot runs")
    copying.add_argument("target", type=Path, help="a new file")
    copying.set_defaults(do=back_up)
    restoring = commands.add_parser("restore", help="put a copy back; what was open in it is never sent again")
    restoring.add_argument("source", type=Path, nargs="?", help="the copy; without it, adopt the one that is in place")
    restoring.add_argument("--yes", action="store_true", help="do not ask")
    restoring.set_defaults(do=put_back)
    commands.add_parser("version", help="say which version this is").set_defaults(do=show_version)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """The console script. `words`: what was typed after its name; None takes them from the command line."""
    arguments = parser().parse_args(words)
    try:
        status: int = arguments.do(arguments)
    except (SettingsError, CannotStart) as error:
        print(f"ottu-bot: {error}", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
