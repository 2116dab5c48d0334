"""Credentials that came from files, as the files hold them now: a new one is used without a restart.

A file is read again whenever its credential is needed: it is small, and no change of it can be overlooked. Where it is
missing, empty or wrong for a moment, the old value stays and one line says so. Replace a file by renaming another over
it. A new one that is refused is no matter of this file: executions pause at a 401, and go on with the next good one.
"""

from __future__ import annotations

import logging
from typing import Any

from pydantic import SecretStr
from slack_bolt.middleware.async_builtins import AsyncRequestVerification
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.log import hide
from bot.settings import Settings, SettingsError

log = logging.getLogger("bot.credentials")


class Credentials:
    """The settings as they are now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept_because: dict[str, str] = {}  # what was said of a file last, so that it is said once

    def now(self) -> Settings:
        """The settings, with what the files of credentials hold at this moment. Raises nothing."""
        for name in self._settings.files:
            self._look(name)
        return self._settings

    def _look(self, name: str) -> None:
        try:
            fresh = self._settings.read_again(name)
        except SettingsError as error:  # its text shows no value
            if self._kept_because.get(name) != str(error):
                log.error("credential_kept", extra={"facts": {"setting": name, "why": str(error)}})
            self._kept_because[name] = str(error)
            return
        self._kept_because.pop(name, None)
        if fresh is not self._settings:
            hide(fresh.secrets())
            self._settings = fresh
            log.info("credential_renewed", extra={"facts": {"setting": name}})


def revealed(secret: SecretStr | None) -> str:
    """The secret itself, to be sent or compared; nothing where there is none."""
    return secret.get_secret_value() if secret else ""


class SlackClient(AsyncWebClient):
    """Slack's client, with the tokens of the moment in every call."""

    def __init__(self, credentials: Credentials, **options: Any) -> None:
        super().__init__(**options)
        self.credentials = credentials

    async def api_call(self, api_method: str, **options: Any) -> AsyncSlackResponse:
        """One call, as the SDK has it."""
        self.token = revealed(self.credentials.now().slack_bot_token)
        return await super().api_call(api_method, **options)

    async def apps_connections_open(self, *, app_token: str, **options: Any) -> AsyncSlackResponse:
        """A place to connect to, in Socket Mode; whoever asks has the app-level token of the start."""
        now = revealed(self.credentials.now().slack_app_token)
        return await super().apps_connections_open(app_token=now or app_token, **options)


class Verification(AsyncRequestVerification):
    """Bolt's check of Slack's signature, with the signing secret of the moment."""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(signing_secret="", base_logger=logging.getLogger("slack_bolt"))
        self.credentials = credentials

    @property
    def verifier(self) -> SignatureVerifier:
        """A signature's verifier; Bolt asks for it at each request."""
        return SignatureVerifier(revealed(self.credentials.now().slack_signing_secret))
