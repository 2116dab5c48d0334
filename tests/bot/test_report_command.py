"""`audit report` as somebody calls it who has the database and nothing else, and its page, read as text."""

from __future__ import annotations

import re
import sqlite3
from html.parser import HTMLParser
from pathlib import Path

import pytest

from approvals.audit import ChainKey
from bot.__main__ import main
from bot.acquaintance import CannotStart
from bot.app import database_id
from bot.marker import Marker
from bot.report import report
from bot.settings import AuditSettings
from tests.approvals.diary import Diary
from tests.approvals.factories import CEM, KEY, open_desk
from tests.approvals.raw import without_triggers
from tests.approvals.rich_month import ARABIC, EVIL, write_rich_month

MONTH = "2025-03"
VOID_TAGS = {"meta", "br"}


class PageReader(HTMLParser):
    """What a browser would make of the page: its tags, its attributes, its text; every tag must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.styles = ""
        self.lines: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.styles += data
        else:
            self.lines.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.lines).replace("\u202f", " ").split())


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    desk = open_desk(tmp_path, key=ChainKey())
    desk.store.record("database_created", "bot", data={"ottu_base_url": "https://shop.ottu.net"})
    return Diary(desk.store, MONTH)


def settings(folder: Path, key: bytes = b"") -> AuditSettings:
    return AuditSettings(folder / "bot.db", folder, key)


def written(folder: Path, *, month: str = MONTH, key: bytes = b"", status: int = 0) -> str:
    """The text of the page."""
    path = folder / "page.html"
    path.unlink(missing_ok=True)
    assert report(settings(folder, key), month=month, to=str(path), unkeyed_until=0) == status
    return path.read_text(encoding="utf-8")


def test_the_page_says_first_whether_the_record_verified_and_then_the_figures(tmp_path: Path, diary: Diary) -> None:
    diary.done("03 10:00:00", "03 10:05:01", 1_234_500)
    diary.done("03 10:00:00", "03 10:15:01", 5)
    diary.done("04 10:00:00", "04 10:10:01", 999, "USD")
    diary.refused("05 10:00:00", "self_approval")
    seq, head = diary.store.head()
    text = PageReader(written(tmp_path)).text
    body = text.partition(" ✓ ")[2]
    assert body.startswith(f"This record verified: 0 differences in {seq} events; head {seq}:{head} ")
    for said in (
        "shop.ottu.net · 2025-03-01 to 2025-03-31, all times in UTC",
        "Requests asked 3",
        "Refunded 1 234.505 KWD 2 refunds",
        "Refunded 9.99 USD 1 refund",
        "Median time to approval 10 min",
        "95 % approved within 15 min",
        "Refused attempts 1",
        "Alarms 0",
        "Unknown outcomes 0",
        "approving one's own request U01ALICE approve 1",
        "Without AUDIT_KEY",
    ):
        assert said in text, said


def test_the_page_loads_and_runs_nothing_whatever_people_typed(tmp_path: Path, diary: Diary) -> None:
    """No tag but the report's own, no address, no handler; what they typed stands there as they typed it."""
    write_rich_month(diary.store, MONTH)
    text = written(tmp_path)
    page = PageReader(text)
    assert page.tags <= {
        *("html", "head", "meta", "title", "style", "body", "div", "p", "span", "strong", "code", "main", "footer"),
        *("h1", "h2", "h3", "dl", "dt", "dd", "ul", "li", "table", "caption", "thead", "tbody", "tr", "th", "td"),
        *("bdi", "br", "figure", "figcaption", "details", "summary", "svg", "g", "rect", "line", "text", "desc"),
    }
    names = {name for name, _ in page.attributes}
    assert not names & {"src", "href", "xlink:href", "action", "srcset", "style"}
    assert not any(name.startswith("on") for name in names)
    assert "://" not in text
    assert "url(" not in page.styles
    assert "@import" not in page.styles
    assert (
        "content",
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'",
    ) in page.attributes
    assert page.text.count(EVIL) == 3
    assert ARABIC in page.text
    assert "<img" not in text


def test_every_table_has_a_caption_and_headings_and_every_plot_its_words(tmp_path: Path, diary: Diary) -> None:
    write_rich_month(diary.store, MONTH)
    text = written(tmp_path)
    assert text.count("<table>") == text.count("<caption>") > 5
    assert len(re.findall("<th [^>]*scope=", text)) == text.count("<th ")
    assert "<th>" not in text
    plots = re.findall(r'<svg [^>]*role="img"[^>]*aria-labelledby="([\w-]+)"[^>]*aria-describedby="([\w-]+)"', text)
    assert len(plots) == text.count("<svg ") > 5
    for name in (name for pair in plots for name in pair):
        assert text.count(f'id="{name}"') == 1


def test_the_plots_show_the_numbers_of_the_tables(tmp_path: Path, diary: Diary) -> None:
    diary.done("03 10:00:00", "03 10:05:00", 1_500)
    diary.done("03 11:00:00", "03 11:05:00", 2_000)
    diary.unknown("03 12:00:00", "03 12:05:00")
    text = written(tmp_path).replace("\u202f", " ").replace("\u00a0", " ")
    assert {"3: 2 done", "3: 1 unknown", "3: 3.500 KWD", "5 min: 3", "U03CEM: 3 approved"} <= set(
        re.findall(r"<rect [^>]*><title>([^<]*)</title>", text)
    )


def test_the_same_record_gives_the_same_page(tmp_path: Path, diary: Diary) -> None:
    write_rich_month(diary.store, MONTH)
    assert written(tmp_path) == written(tmp_path)


def test_an_empty_month_says_so_kindly_and_an_unfinished_one_how_far_the_record_goes(
    tmp_path: Path, diary: Diary
) -> None:
    diary.done("03 10:00:00", "03 10:05:00")
    text = PageReader(written(tmp_path, month="2030-01")).text
    assert "Nothing was asked, decided or refused in January 2030." in text
    assert "The record’s last event is of " in text
    assert "The record’s last event is of " not in PageReader(written(tmp_path, month="2020-01")).text


def test_a_record_that_was_altered_is_named_first_and_is_no_success(tmp_path: Path, diary: Diary) -> None:
    diary.done("03 10:00:00", "03 10:05:00")
    connection = sqlite3.connect(tmp_path / "bot.db")
    with without_triggers(connection):
        connection.execute("UPDATE requests SET answered_minor = 9000")
    connection.commit()
    connection.close()
    text = PageReader(written(tmp_path, status=1)).text
    said = text.partition(" ✗ ")[2]
    assert said.startswith("This record does not verify: 1 difference")
    assert "the row differs from its events in answered_minor" in said


def test_a_tail_that_was_cut_off_before_the_last_send_is_no_success(tmp_path: Path) -> None:
    """The key does not tell: what is left is whole. The marker of the send does, as for audit verify."""
    desk = open_desk(tmp_path)
    diary = Diary(desk.store, MONTH)
    diary.done("03 10:00:00", "03 10:05:00")
    diary.refused("05 10:00:00", "stale")
    Marker(tmp_path, desk.store, database_id(desk.work), "host:1:1").write()
    with without_triggers(desk.store.database.conn):
        desk.sql("DELETE FROM events WHERE kind = 'refused_attempt'")
    text = PageReader(written(tmp_path, key=KEY.secret, status=1)).text
    assert "This record does not verify: 1 difference" in text
    assert "the marker of a send says" in text


@pytest.mark.parametrize("value", [r"\ud800", "\\u001b[2J"])
def test_what_cannot_be_written_is_left_out_of_the_page(tmp_path: Path, diary: Diary, value: str) -> None:
    """Half a character, which no file can hold, would else end the report without a page."""
    diary.refused("05 10:00:00", "stale")
    with without_triggers(diary.store.database.conn):
        diary.store.database.execute("UPDATE events SET data = replace(data, 'stale', ?)", [value])
    assert "does not verify" in PageReader(written(tmp_path, status=1)).text


def test_the_key_that_wrote_the_record_proves_it_and_another_does_not(tmp_path: Path) -> None:
    Diary(open_desk(tmp_path).store, MONTH).done("03 10:00:00", "03 10:05:00")
    assert "The chain is keyed" in written(tmp_path, key=KEY.secret)
    text = PageReader(written(tmp_path, key=b"another", status=1)).text
    assert "were written with another key" in text


def test_a_key_that_came_later_proves_what_came_after_it(tmp_path: Path, diary: Diary) -> None:
    diary.done("03 10:00:00", "03 10:05:00")
    seq, _ = diary.store.head()
    Diary(open_desk(tmp_path).store, MONTH).refused("05 10:00:00", "stale")
    for until, status in ((0, 1), (seq, 0)):
        path = tmp_path / f"{until}.html"
        assert report(settings(tmp_path, KEY.secret), month=MONTH, to=str(path), unkeyed_until=until) == status


def test_a_record_that_makes_no_sense_any_more_is_one_clear_line(tmp_path: Path, diary: Diary) -> None:
    diary.refused("05 10:00:00", "stale")
    connection = sqlite3.connect(tmp_path / "bot.db")
    connection.execute("DROP TRIGGER events_fixed")
    connection.execute("UPDATE events SET data = '{}' WHERE kind = 'refused_attempt'")
    connection.commit()
    connection.close()
    with pytest.raises(CannotStart, match="cannot be read"):
        report(settings(tmp_path), month=MONTH, to=str(tmp_path / "page.html"), unkeyed_until=0)
    assert not (tmp_path / "page.html").exists()


def test_a_long_list_is_cut_and_says_so(tmp_path: Path, diary: Diary) -> None:
    with diary.store.transaction():
        for _ in range(503):
            diary.alarm("03 10:00:00", "Something.")
    text = PageReader(written(tmp_path)).text
    assert "Alarms 503" in text
    assert "And 3 more, which the record holds." in text


# --- the command


def test_the_file_has_the_month_in_its_name_and_is_never_written_over(
    tmp_path: Path, diary: Diary, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    diary.done("03 10:00:00", "03 10:05:00", person=CEM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "sqlite:///bot.db")
    assert main(["audit", "report", "--month", MONTH]) == 0
    seq, head = diary.store.head()
    assert capsys.readouterr().out == (
        f"written to ottu-report-2025-03.html; 0 differences in {seq} events; head {seq}:{head}\n"
    )
    first = (tmp_path / "ottu-report-2025-03.html").read_text(encoding="utf-8")
    diary.refused("05 10:00:00", "stale")
    assert main(["audit", "report", "--month", MONTH]) == 2
    assert "is there already; name a new file with --to" in capsys.readouterr().err
    assert (tmp_path / "ottu-report-2025-03.html").read_text(encoding="utf-8") == first


def test_a_dash_is_standard_output_and_nothing_else_is_printed(
    tmp_path: Path, diary: Diary, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    diary.done("03 10:00:00", "03 10:05:00")
    assert report(settings(tmp_path), month=MONTH, to="-", unkeyed_until=0) == 0
    assert capfdbinary.readouterr().out.decode() == written(tmp_path)


@pytest.mark.parametrize("month", ["2025-3", "March", "2025-13"])
def test_what_is_no_month_is_refused(tmp_path: Path, month: str) -> None:
    with pytest.raises(CannotStart, match="such as 2026-11"):
        report(settings(tmp_path), month=month, to=None, unkeyed_until=0)


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="is not there"):
        report(settings(tmp_path), month=MONTH, to="-", unkeyed_until=0)
    assert not (tmp_path / "bot.db").exists()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, diary: Diary) -> None:
    diary.refused("05 10:00:00", "stale")
    with pytest.raises(CannotStart, match="cannot be written"):
        report(settings(tmp_path), month=MONTH, to=str(tmp_path / "none" / "page.html"), unkeyed_until=0)
