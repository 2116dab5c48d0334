"""The settings: read from the environment and from `.env`, checked, and never shown where they are secret.

An error is one line: which setting, and what to write. It never holds a setting's value, which may be a secret.
"""

from __future__ import annotations

import base64
import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from dotenv import dotenv_values
from pydantic import SecretStr

DATABASE_URL_DEFAULT = "sqlite:///ottu-bot.db"
POLICY_FILE_DEFAULT = "policy.toml"
SLACK_API_URL_DEFAULT = "https://slack.com/api/"
AUDIT_KEY_CHARACTERS_MINIMUM = 16
VALUE_CHARACTERS_MAXIMUM = 10_000
OTTU_API_KEY_CHARACTERS_MAXIMUM = 512  # what `ottu.ApiKey` takes

# Every setting, and what to write. `.env.example` and the README's table are compared with it.
KNOWN: Mapping[str, str] = {
    "SLACK_BOT_TOKEN": "the bot token, xoxb-…",
    "SLACK_APP_TOKEN": "the app-level token, xapp-…, for Socket Mode",
    "SLACK_SIGNING_SECRET": "the app's signing secret, or SLACK_APP_TOKEN for Socket Mode",
    "SLACK_API_URL": f"nothing, or another base with its last slash instead of {SLACK_API_URL_DEFAULT}",
    "OTTU_BASE_URL": "https://<name>.ottu.net; plain http only to a loopback address",
    "OTTU_API_KEY": "the private API key, or both OTTU_USERNAME and OTTU_PASSWORD",
    "OTTU_USERNAME": "the user's name, together with OTTU_PASSWORD",
    "OTTU_PASSWORD": "the user's password, together with OTTU_USERNAME",
    "OTTU_WEBHOOK_KEY": "the HMAC key of Ottu's webhooks, or nothing",
    "DATABASE_URL": "sqlite:///file in the working directory, or sqlite:////absolute/file",
    "POLICY_FILE": "the path of the policy file",
    "AUDIT_KEY": f"a random key of at least {AUDIT_KEY_CHARACTERS_MINIMUM} characters, or nothing",
    "STATE_DIR": "a directory that no backup of the database restores",
    "HOST": "the address to listen on, such as 127.0.0.1",
    "PORT": "a port, 0 to 65535 (0: any that is free)",
}
# What may change while the bot runs, where it came from a file. With another AUDIT_KEY the chain would not hold.
RENEWABLE = (
    "SLACK_BOT_TOKEN",
    "SLACK_APP_TOKEN",
    "SLACK_SIGNING_SECRET",
    "OTTU_API_KEY",
    "OTTU_USERNAME",
    "OTTU_PASSWORD",
    "OTTU_WEBHOOK_KEY",
)


class SettingsError(Exception):
    """The settings cannot be used. One line: which one, and what to write."""


def _wrong(name: str, what: str = "is missing") -> SettingsError:
    return SettingsError(f"{name} {what}; write {KNOWN[name]}")


def _unreadable(name: str) -> SettingsError:
    return SettingsError(f"{name}_FILE names a file that cannot be read; write the path of a text file")


@dataclass(frozen=True)
class Settings:
    """Checked settings. Secrets are wrapped: `repr` shows none. Exactly one of the two ways into Ottu is set."""

    slack_bot_token: SecretStr
    slack_app_token: SecretStr | None
    slack_signing_secret: SecretStr | None
    slack_api_url: str  # with its last slash
    ottu_base_url: str  # scheme, host and port, without a slash at the end
    ottu_on_loopback: bool  # a stand-in on this machine
    ottu_api_key: SecretStr | None
    ottu_username: str | None
    ottu_password: SecretStr | None
    ottu_webhook_key: SecretStr | None
    database_path: Path
    policy_file: Path
    audit_key: SecretStr | None
    state_directory: Path
    host: str
    port: int  # 0: any that is free
    files: Mapping[str, Path] = field(compare=False)  # where each credential that can be renewed came from
    values: Mapping[str, str] = field(compare=False, repr=False)  # all of them as they were read, secrets too

    @property
    def socket_mode(self) -> bool:
        """True where Slack is reached by a socket; else Slack calls us."""
        return self.slack_app_token is not None

    def secrets(self) -> tuple[str, ...]:
        """Every text that must never be shown, for the log's filter; Basic authentication also as it is sent."""
        wrapped = [value for value in vars(self).values() if isinstance(value, SecretStr)]
        secrets = [value.get_secret_value() for value in wrapped]
        if self.ottu_password is not None:
            pair = f"{self.ottu_username}:{self.ottu_password.get_secret_value()}"
            secrets.append(base64.b64encode(pair.encode()).decode())
        return tuple(secrets)

    def read_again(self, name: str) -> Settings:
        """These settings with what the file of one credential holds now; themselves where that is the same.

        `name` is one of `files`. Raises SettingsError, as at the start.
        """
        path = self.files[name]
        if not _is_file(path):
            raise _unreadable(name)
        value = _checked_value(name, _file_value(name, path))
        return self if value == self.values[name] else _settings({**self.values, name: value}, self.files)


@dataclass(frozen=True)
class AuditSettings:
    """What somebody needs who only verifies the record: none of the secrets that move money or write to Slack."""

    database_path: Path
    state_directory: Path
    key: bytes = field(repr=False)  # empty: the chain is not keyed


@dataclass(frozen=True)
class ChannelAuditSettings:
    """What somebody needs who compares the channels with the record; the token only where Slack is asked."""

    record: AuditSettings
    policy_file: Path
    slack_api_url: str  # with its last slash
    slack_bot_token: SecretStr | None


def load_settings() -> Settings:
    """The settings of this process, with `.env` from the working directory. Raises SettingsError."""
    return read_settings(os.environ, _dotenv())


def load_audit_settings() -> AuditSettings:
    """The few settings that verifying needs, from the same places. Raises SettingsError."""
    given = {**_dotenv(), **os.environ}
    names = ("DATABASE_URL", "STATE_DIR", "AUDIT_KEY")
    values = {name: value for name in names if (value := _value(name, given)) is not None}
    path = _database_path(values.get("DATABASE_URL", DATABASE_URL_DEFAULT))
    key = _audit_key(values)
    return AuditSettings(path, _state_directory(values, path), key.get_secret_value().encode() if key else b"")


def load_channel_audit_settings(*, live: bool) -> ChannelAuditSettings:
    """The same and what reading the channels needs; `live`: from Slack, not from an export. Raises SettingsError."""
    given = {**_dotenv(), **os.environ}
    names = ("SLACK_BOT_TOKEN", "SLACK_API_URL", "POLICY_FILE")
    values = {name: value for name in names if (value := _value(name, given)) is not None}
    return ChannelAuditSettings(
        record=load_audit_settings(),
        policy_file=Path(values.get("POLICY_FILE", POLICY_FILE_DEFAULT)),
        slack_api_url=_slack_api_url(values.get("SLACK_API_URL", SLACK_API_URL_DEFAULT)),
        slack_bot_token=_token(values, "SLACK_BOT_TOKEN", "xoxb-") if live else None,
    )


def _state_directory(values: Mapping[str, str], database_path: Path) -> Path:
    return Path(values["STATE_DIR"]) if "STATE_DIR" in values else database_path.parent


def _dotenv() -> dict[str, str | None]:
    try:
        return dotenv_values(".env", interpolate=False)  # a `$` in a secret is a `$`
    except (OSError, UnicodeDecodeError):
        raise SettingsError(".env cannot be read; write it as UTF-8 text that this user may read") from None


def read_settings(environ: Mapping[str, str], dotenv: Mapping[str, str | None]) -> Settings:
    """The settings from two sources; the first wins, also with an empty value. Raises SettingsError.

    The only thing read besides is the file that a `NAME_FILE` names.
    """
    given = {**dotenv, **environ}
    _refuse_unknown(given)
    values = {name: value for name in KNOWN if (value := _value(name, given)) is not None}
    named = {name: Path(file) for name in RENEWABLE if (file := given.get(f"{name}_FILE"))}
    return _settings(values, {name: path for name, path in named.items() if _is_file(path)})


def _settings(values: Mapping[str, str], files: Mapping[str, Path]) -> Settings:
    """Every value checked, and all of them together. Raises SettingsError."""
    _check_ottu_login(values)
    path = _database_path(values.get("DATABASE_URL", DATABASE_URL_DEFAULT))
    base_url, on_loopback = _base_url(values)
    return Settings(
        slack_bot_token=_token(values, "SLACK_BOT_TOKEN", "xoxb-"),
        slack_app_token=_token(values, "SLACK_APP_TOKEN", "xapp-") if "SLACK_APP_TOKEN" in values else None,
        slack_signing_secret=_signing_secret(values),
        slack_api_url=_slack_api_url(values.get("SLACK_API_URL", SLACK_API_URL_DEFAULT)),
        ottu_base_url=base_url,
        ottu_on_loopback=on_loopback,
        ottu_api_key=_secret(values, "OTTU_API_KEY"),
        ottu_username=values.get("OTTU_USERNAME"),
        ottu_password=_secret(values, "OTTU_PASSWORD"),
        ottu_webhook_key=_secret(values, "OTTU_WEBHOOK_KEY"),
        database_path=path,
        policy_file=Path(values.get("POLICY_FILE", POLICY_FILE_DEFAULT)),
        audit_key=_audit_key(values),
        state_directory=_state_directory(values, path),
        host=values.get("HOST", "127.0.0.1"),
        port=_port(values.get("PORT", "3000")),
        files=files,
        values=values,
    )


def _refuse_unknown(given: Mapping[str, str | None]) -> None:
    """A misspelt setting must not be a setting that is silently absent."""
    known = [*KNOWN, *(f"{name}_FILE" for name in KNOWN)]
    for name in sorted(given):
        if name.startswith(("SLACK_", "OTTU_")) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            raise SettingsError(f"{name[:60]!a} is no known setting; write {near}, or remove it")


def _value(name: str, given: Mapping[str, str | None]) -> str | None:
    """The value of a setting, from itself or from the file that `NAME_FILE` names; None where absent or empty."""
    value, file = given.get(name) or None, given.get(f"{name}_FILE") or None
    if value is not None and file is not None:
        raise SettingsError(f"{name} and {name}_FILE are both given; write one of them")
    if file is not None:
        value = _file_value(name, Path(file))
    return None if value is None else _checked_value(name, value)


def _checked_value(name: str, value: str) -> str:
    if len(value) > VALUE_CHARACTERS_MAXIMUM or not value.isprintable():
        raise _wrong(name, "is too long, or holds a line break or another character that cannot be seen")
    return value


def _is_file(path: Path) -> bool:
    """An ordinary file, which can be read again. A pipe is read once, and whoever opens it waits for its writer."""
    try:
        return path.is_file()
    except OSError:
        return False


def _file_value(name: str, path: Path) -> str:
    """What a file holds, without its last newline. An empty one is an error: somebody meant to give a value."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read(VALUE_CHARACTERS_MAXIMUM + 3)
    except (OSError, ValueError):
        raise _unreadable(name) from None
    value = text.removesuffix("\n").removesuffix("\r")
    if not value.strip():
        raise SettingsError(f"{name}_FILE names an empty file; write into it {KNOWN[name]}")
    return value


def _secret(values: Mapping[str, str], name: str) -> SecretStr | None:
    return SecretStr(values[name]) if name in values else None


def _token(values: Mapping[str, str], name: str, prefix: str) -> SecretStr:
    if name not in values:
        raise _wrong(name)
    if not re.fullmatch(re.escape(prefix) + r"[!-~]+", values[name]):
        raise _wrong(name, f"does not begin with {prefix}, or holds a space")
    return SecretStr(values[name])


def _signing_secret(values: Mapping[str, str]) -> SecretStr | None:
    secret = _secret(values, "SLACK_SIGNING_SECRET")
    if secret is None and "SLACK_APP_TOKEN" not in values:
        raise _wrong("SLACK_SIGNING_SECRET")
    return secret


def _slack_api_url(url: str) -> str:
    parts, host = _url("SLACK_API_URL", url)
    if not url.endswith("/"):
        raise _wrong("SLACK_API_URL", "does not end with a slash")
    return f"{parts.scheme}://{_authority(parts, host)}{parts.path}"


def _base_url(values: Mapping[str, str]) -> tuple[str, bool]:
    """Ottu's address, spelt in one way, as a database belongs to one; and whether it is on this machine."""
    if "OTTU_BASE_URL" not in values:
        raise _wrong("OTTU_BASE_URL")
    parts, host = _url("OTTU_BASE_URL", values["OTTU_BASE_URL"])
    if parts.path not in ("", "/"):
        raise _wrong("OTTU_BASE_URL", "has a path")
    return f"{parts.scheme}://{_authority(parts, host)}", _is_loopback(host)


def _url(name: str, url: str) -> tuple[SplitResult, str]:
    """The parts and the host of a URL that is https, or http to this machine, with nothing after its path."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise _wrong(name, "is no URL") from None
    if not re.fullmatch(r"https?://[!-~]+", url) or not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:]+", host):
        raise _wrong(name, "is no URL")
    if set(url) & set("?#@\\"):
        raise _wrong(name, "has a user, a query or a fragment")
    if parts.scheme == "http" and not _is_loopback(host):
        raise _wrong(name, "is plain http to another machine")
    return parts, host


def _authority(parts: SplitResult, host: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    standard = {"http": 80, "https": 443}[parts.scheme]
    return shown if parts.port in (None, standard) else f"{shown}:{parts.port}"


def _is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1 and localhost. Another name may lead to this machine today and elsewhere tomorrow."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_ottu_login(values: Mapping[str, str]) -> None:
    """Exactly one of the two ways, and whole: with both, nobody could tell whose permissions count."""
    by_key = "OTTU_API_KEY" in values
    by_user = [name for name in ("OTTU_USERNAME", "OTTU_PASSWORD") if name in values]
    if by_key and by_user:
        raise SettingsError(
            f"OTTU_API_KEY and {by_user[0]} are both given; write one way: the key, or user and password"
        )
    if not by_key and len(by_user) < 2:
        raise _wrong(
            "OTTU_PASSWORD" if by_user == ["OTTU_USERNAME"] else "OTTU_USERNAME" if by_user else "OTTU_API_KEY"
        )
    if len(values.get("OTTU_API_KEY", "")) > OTTU_API_KEY_CHARACTERS_MAXIMUM:
        raise _wrong("OTTU_API_KEY", "is too long")
    if not re.fullmatch(r"[!-~]*", values.get("OTTU_API_KEY", "")):
        raise _wrong("OTTU_API_KEY", "holds a space or a character that no key has")
    if ":" in values.get("OTTU_USERNAME", ""):
        raise _wrong("OTTU_USERNAME", "holds a colon, which ends the name when it is sent")


def _database_path(url: str) -> Path:
    if url.startswith(("postgresql:", "postgres:")):
        raise _wrong("DATABASE_URL", "names PostgreSQL, which is not built yet")
    path = url.removeprefix("sqlite:///")
    if path == url or path.endswith("/") or path in ("", ":memory:") or set(path) & set("?#"):
        raise _wrong("DATABASE_URL", "is no file of SQLite")
    return Path(path)


def _audit_key(values: Mapping[str, str]) -> SecretStr | None:
    if "AUDIT_KEY" in values and len(values["AUDIT_KEY"]) < AUDIT_KEY_CHARACTERS_MINIMUM:
        raise _wrong("AUDIT_KEY", "is too short")
    return _secret(values, "AUDIT_KEY")


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65_535:
        raise _wrong("PORT", "is no port")
    return int(text)
