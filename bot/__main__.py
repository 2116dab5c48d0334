"""`python -m bot`, also `ottu-bot`: run the bot, or one of its tools. Exit status 0, or not, with one clear line."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from approvals.choice import Choice
from approvals.request import State
from bot import log
from bot.acquaintance import CannotStart
from bot.app import Bot
from bot.audit import verify_record
from bot.backup import backup, restore
from bot.channel_audit import Options, audit_channel
from bot.doctor import doctor, policy_check
from bot.export import FORMS, export_record, from_time, until_time
from bot.settings import SettingsError, load_audit_settings, load_channel_audit_settings, load_settings
from bot.stream import stream_record


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
    return verify_record(load_audit_settings(), unkeyed_until=arguments.unkeyed_until, anchors=arguments.anchor)


def export(arguments: argparse.Namespace) -> int:
    """Write the record, or a part of it, for other programs."""
    choice = Choice(
        since=arguments.since,
        until=arguments.until,
        people=tuple(arguments.person),
        transaction=arguments.transaction,
        states=tuple(State(state) for state in arguments.state),
    )
    return export_record(load_audit_settings(), arguments.format, arguments.to, choice)


def stream(arguments: argparse.Namespace) -> int:
    """Write the events as lines, for logs."""
    return stream_record(load_audit_settings(), arguments.to, arguments.after, follow=arguments.follow)


def report_month(arguments: argparse.Namespace) -> int:
    """Write one month of the record as a page."""
    from bot.report import report  # only here: nothing else draws

    return report(load_audit_settings(), month=arguments.month, to=arguments.to, unkeyed_until=arguments.unkeyed_until)


def compare_channels(arguments: argparse.Namespace) -> int:
    """Compare what the channels show with the record."""
    settings = load_channel_audit_settings(live=arguments.export is None)
    options = Options(arguments.export, arguments.state, arguments.whole, arguments.fresh, arguments.json)
    return audit_channel(settings, options)


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
    keyed = argparse.ArgumentParser(add_help=False)
    keyed.add_argument(
        "--unkeyed-until",
        type=int,
        default=0,
        metavar="SEQ",
        help="AUDIT_KEY was set after this event; known to you only",
    )
    verifying = auditing.add_parser("verify", parents=[keyed], help="is the record whole and unaltered")
    verifying.add_argument(
        "--anchor",
        action="append",
        default=[],
        metavar="SEQ:HASH",
        help="an event as Slack shows it, which the record must contain; may be given several times",
    )
    verifying.set_defaults(do=verify)
    _add_export(auditing)
    _add_stream(auditing)
    reporting = auditing.add_parser("report", parents=[keyed], help="one month as a page to look at")
    reporting.add_argument("--month", required=True, metavar="YYYY-MM", help="in UTC, such as 2026-11")
    reporting.add_argument(
        "--to", metavar="FILE", help="a new file; - is standard output; else ottu-report-YYYY-MM.html"
    )
    reporting.set_defaults(do=report_month)
    _add_channel(auditing)
    copying = commands.add_parser("backup", help="copy the database, while the bot runs")
    copying.add_argument("target", type=Path, help="a new file")
    copying.set_defaults(do=back_up)
    restoring = commands.add_parser("restore", help="put a copy back; what was open in it is never sent again")
    restoring.add_argument("source", type=Path, nargs="?", help="the copy; without it, adopt the one that is in place")
    restoring.add_argument("--yes", action="store_true", help="do not ask")
    restoring.set_defaults(do=put_back)
    commands.add_parser("version", help="say which version this is").set_defaults(do=show_version)
    return parser


def _add_export(auditing: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    exporting = auditing.add_parser("export", help="write the record for a spreadsheet, a program, or Datasette")
    exporting.add_argument("--format", choices=FORMS, required=True, help="csv and jsonl make a folder, sqlite a file")
    exporting.add_argument("--to", type=Path, required=True, metavar="PATH", help="the new folder or file")
    exporting.add_argument(
        "--from", type=from_time, dest="since", metavar="TIME", help="requests to which something happened from then on"
    )
    exporting.add_argument(
        "--until",
        type=until_time,
        metavar="TIME",
        help="and before then; a day, such as 2026-11-30, counts whole (UTC)",
    )
    exporting.add_argument(
        "--person", nargs="+", action="extend", default=[], metavar="U…", help="who asked for it or did something to it"
    )
    exporting.add_argument("--transaction", metavar="REF", help="an order number, a session id, or a request's own id")
    exporting.add_argument(
        "--state",
        nargs="+",
        action="extend",
        default=[],
        choices=[s.value for s in State],
        metavar="S",
        help="it is in",
    )
    exporting.set_defaults(do=export)


def _add_stream(auditing: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    streaming = auditing.add_parser("stream", help="write the events as JSON lines, for a SIEM")
    streaming.add_argument("--to", type=Path, metavar="FILE", help="go on in this file; else standard output")
    streaming.add_argument(
        "--after", type=_sequence, default=0, metavar="SEQ", help="begin after this event, unless the file has lines"
    )
    streaming.add_argument("--follow", action="store_true", help="wait for new events, until told to stop")
    streaming.set_defaults(do=stream)


def _sequence(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise argparse.ArgumentTypeError(f"{text!r} is no sequence number")
    return int(text)


def _add_channel(auditing: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    comparing = auditing.add_parser("channel", help="do the channels show what the record says")
    comparing.add_argument("--export", type=Path, metavar="FOLDER", help="an unpacked Slack export, instead of Slack")
    comparing.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="where an interrupted reading goes on from; default beside the database",
    )
    comparing.add_argument(
        "--whole",
        action="store_true",
        help="the channels keep everything: what is not there is missing, not beyond reach",
    )
    comparing.add_argument(
        "--fresh",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="so long a message may lag behind the record (120)",
    )
    comparing.add_argument("--json", action="store_true", help="print the findings as JSON")
    comparing.set_defaults(do=compare_channels)


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
