"""`audit report`: one month of the record as one HTML page. It needs no secret of Slack or Ottu."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from urllib.parse import urlsplit

from approvals.month import Month
from approvals.report import read_figures
from approvals.request import Refusal
from approvals.store import Store
from approvals.verify import differences
from bot.acquaintance import CannotStart
from bot.audit import heads_of_sends, missing, plain
from bot.record import reading
from bot.report_page import DIFFERENCES_SHOWN_MOST, Proof, page
from bot.settings import AuditSettings


def report(settings: AuditSettings, *, month: str, to: str | None, unkeyed_until: int) -> int:
    """Write the page of a month, such as `2026-11`; exit status 1 where the record does not verify.

    `to`: the new file, `-` for standard output; by default `ottu-report-2026-11.html` in the working directory.
    """
    try:
        wanted = Month.parse(month)
    except ValueError:
        raise CannotStart("--month takes a year and a month, such as 2026-11") from None
    with reading(settings) as store:
        try:
            proof = _prove(store, settings, unkeyed_until)
            text = page(read_figures(store, wanted), proof)
        except (
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            Refusal,
        ) as error:  # an altered row can say anything
            raise CannotStart(
                f"the record cannot be read ({error}); ottu-bot audit verify names what differs"
            ) from error
    if to == "-":
        sys.stdout.buffer.write(text.encode())
    else:
        path = Path(to or f"ottu-report-{wanted}.html")
        _write(path, text)
        found = f"{proof.differences_count} differences in {proof.seq} events; head {proof.seq}:{plain(proof.head)}"
        print(f"written to {path}; {found}")
    return 1 if proof.differences_count else 0


def _prove(store: Store, settings: AuditSettings, unkeyed_until: int) -> Proof:
    known = heads_of_sends(settings, store)
    found = itertools.chain(differences(store, unkeyed_until=unkeyed_until), missing(store, known))
    shown = tuple(itertools.islice(found, DIFFERENCES_SHOWN_MOST))
    seq, head = store.head()
    return Proof(
        host=_host(store),
        seq=seq,
        head=head,
        last_at=store.event(seq).at if seq else None,
        differences=shown,
        differences_count=len(shown) + sum(1 for _ in found),
        is_keyed=bool(store.key.secret),
    )


def _host(store: Store) -> str:
    """Of Ottu, as the record's own first event says."""
    told = store.account()
    return urlsplit(told).netloc if told else "an unknown host of Ottu"


def _write(path: Path, text: str) -> None:
    """Never over a file that is there."""
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise CannotStart(f"{path} is there already; name a new file with --to") from None
    except OSError as error:
        raise CannotStart(f"{path} cannot be written: {error.strerror}") from None
