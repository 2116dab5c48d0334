"""The proofs drive the whole bot, as its own tests do."""

from __future__ import annotations

from tests.bot.conftest import no_proxies, quiet_libraries

__all__ = ["no_proxies", "quiet_libraries"]
