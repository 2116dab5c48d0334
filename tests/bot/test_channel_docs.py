"""What docs/audit.md says of `audit channel` is what it does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bot.channel_findings import KINDS
from tests.bot.channels import audited, card_of
from tests.bot.test_channel_audit import run
from tests.bot.test_channel_tampering import as_rogue, delete, done, edit
from tests.bot.world import World

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8").split("\n## `audit channel`\n")[1]
SECTION = SECTION.split("\n## ")[0]
OWN = re.compile(r"R-[0-9A-Z]{4}|p[0-9]{16}|[0-9]{4}-[0-9-]{5} [0-9:]{8}|[0-9a-f]{64}")


async def test_the_example_is_what_it_says_of_such_a_channel(told: World) -> None:
    """Name for name, but for what is another one each time: requests, links, times, hashes."""
    await edit(told, done(told), ("Refund 5.000 KWD", "Refund 50.000 KWD"))
    await delete(told, told.results()[1])
    as_rogue(told, card_of(told, "JPY100"))
    process = run(told)
    await told.until(lambda: process.poll() is not None)
    said, _ = process.communicate()
    example = re.findall(r"^```text\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    assert [OWN.sub("…", one) for one in example] == [OWN.sub("…", said)]


def test_every_kind_of_difference_is_explained() -> None:
    assert tuple(re.findall(r"^\| `(\w+)` \|", SECTION, re.MULTILINE)) == KINDS


async def test_every_field_of_the_json_is_named(told: World) -> None:
    await delete(told, told.results()[0])
    told.slack.state.channels["C02AUDIT"].members.clear()
    found = (await audited(told)).found
    explained = SECTION.split("**`--json`**")[1].split("\n\n")[0]
    names = {*found, *found["record"]}
    for listed in ("channels", "differences", "beyond_reach"):
        assert found[listed], json.dumps(found)
        names |= found[listed][0].keys()
    assert names == set(re.findall(r"`(\w+)`", explained))
