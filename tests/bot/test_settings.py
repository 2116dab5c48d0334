"""The settings: what is missing, misspelt or unsafe stops the start with one line, which never shows a secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from dotenv import dotenv_values

from bot.settings import KNOWN, Settings, SettingsError, load_settings, read_settings

ROOT = Path(__file__).parents[2]
GOOD = {
    "SLACK_BOT_TOKEN": "xoxb-bot-1",
    "SLACK_APP_TOKEN": "xapp-app-1",
    "OTTU_BASE_URL": "https://shop.ottu.net",
    "OTTU_API_KEY": "key.1",
}
BY_USER = {"OTTU_API_KEY": "", "OTTU_USERNAME": "bot", "OTTU_PASSWORD": "pass word"}


def read(changes: Mapping[str, str]) -> Settings:
    return read_settings({**GOOD, **changes}, {})


def test_four_settings_are_enough_and_the_rest_has_the_documented_defaults() -> None:
    settings = read({})
    assert settings.socket_mode
    assert settings.slack_bot_token.get_secret_value() == "xoxb-bot-1"
    assert (settings.slack_signing_secret, settings.ottu_webhook_key, settings.audit_key) == (None, None, None)
    assert (settings.slack_api_url, settings.ottu_base_url) == ("https://slack.com/api/", "https://shop.ottu.net")
    assert (settings.database_path, settings.state_directory) == (Path("ottu-bot.db"), Path())
    assert settings.policy_file == Path("policy.toml")
    assert (settings.host, settings.port) == ("127.0.0.1", 3000)
    assert set(settings.secrets()) == {"xoxb-bot-1", "xapp-app-1", "key.1"}


def test_everything_can_be_set() -> None:
    settings = read(
        BY_USER
        | {
            "SLACK_APP_TOKEN": "",
            "SLACK_SIGNING_SECRET": "signing-1",
            "SLACK_API_URL": "http://127.0.0.1:9000/api/",
            "OTTU_WEBHOOK_KEY": "hook-1",
            "DATABASE_URL": "sqlite:////var/lib/bot/a.db",
            "POLICY_FILE": "/etc/bot/policy.toml",
            "AUDIT_KEY": "sixteen letters!",
            "HOST": "::1",
            "PORT": "0",
        }
    )
    assert not settings.socket_mode
    assert settings.slack_api_url == "http://127.0.0.1:9000/api/"
    assert (settings.ottu_api_key, settings.ottu_username) == (None, "bot")
    assert (settings.database_path, settings.state_directory) == (Path("/var/lib/bot/a.db"), Path("/var/lib/bot"))
    assert settings.policy_file == Path("/etc/bot/policy.toml")
    assert (settings.host, settings.port) == ("::1", 0)
    # The last is user and password as Basic authentication sends them.
    sent = "Ym90OnBhc3Mgd29yZA=="
    assert set(settings.secrets()) == {"xoxb-bot-1", "signing-1", "pass word", "hook-1", "sixteen letters!", sent}


def test_the_state_directory_can_be_named() -> None:
    assert read({"STATE_DIR": "/var/state"}).state_directory == Path("/var/state")


def test_no_secret_is_shown_by_repr() -> None:
    settings = read(BY_USER | {"SLACK_SIGNING_SECRET": "signing-1", "AUDIT_KEY": "sixteen letters!"})
    assert not [secret for secret in settings.secrets() if secret in repr(settings) + str(settings)]


WRONG: Mapping[str, tuple[Mapping[str, str], str]] = {
    "no bot token": ({"SLACK_BOT_TOKEN": ""}, "SLACK_BOT_TOKEN is missing; write the bot token, xoxb-…"),
    "a user's token": ({"SLACK_BOT_TOKEN": "xoxp-hush"}, "SLACK_BOT_TOKEN does not begin with xoxb-"),
    "nothing but a prefix": ({"SLACK_BOT_TOKEN": "xoxb-"}, "SLACK_BOT_TOKEN does not begin with xoxb-"),
    "a token with a space": ({"SLACK_BOT_TOKEN": "xoxb-hush "}, "SLACK_BOT_TOKEN does not begin with xoxb-, or holds"),
    "tokens exchanged": ({"SLACK_APP_TOKEN": "xoxb-hush"}, "SLACK_APP_TOKEN does not begin with xapp-"),
    "neither mode": ({"SLACK_APP_TOKEN": ""}, "SLACK_SIGNING_SECRET is missing; write the app's signing secret, or"),
    "no last slash": ({"SLACK_API_URL": "https://slack.com/api"}, "SLACK_API_URL does not end with a slash"),
    "plain http": ({"SLACK_API_URL": "http://slack.com/api/"}, "SLACK_API_URL is plain http to another machine"),
    "no base url": ({"OTTU_BASE_URL": ""}, "OTTU_BASE_URL is missing; write https://<name>.ottu.net"),
    "plain http to ottu": ({"OTTU_BASE_URL": "http://shop.ottu.net"}, "OTTU_BASE_URL is plain http to another machine"),
    "a name for loopback": ({"OTTU_BASE_URL": "http://localhost.evil.com"}, "OTTU_BASE_URL is plain http"),
    "a user": ({"OTTU_BASE_URL": "https://hush@shop.ottu.net"}, "OTTU_BASE_URL has a user, a query or a fragment"),
    "a query": ({"OTTU_BASE_URL": "https://shop.ottu.net?hush"}, "OTTU_BASE_URL has a user, a query or a fragment"),
    "a path": ({"OTTU_BASE_URL": "https://shop.ottu.net/hush"}, "OTTU_BASE_URL has a path"),
    "no scheme": ({"OTTU_BASE_URL": "shop.ottu.net"}, "OTTU_BASE_URL is no URL"),
    "another scheme": ({"OTTU_BASE_URL": "ftp://shop.ottu.net"}, "OTTU_BASE_URL is no URL"),
    "no port": ({"OTTU_BASE_URL": "https://shop.ottu.net:hush"}, "OTTU_BASE_URL is no URL"),
    "half an address": ({"OTTU_BASE_URL": "https://[::1"}, "OTTU_BASE_URL is no URL"),
    "no host": ({"OTTU_BASE_URL": "https:///"}, "OTTU_BASE_URL is no URL"),
    "no login": ({"OTTU_API_KEY": ""}, "OTTU_API_KEY is missing; write the private API key, or both OTTU_USERNAME"),
    "two logins": ({"OTTU_PASSWORD": "hush"}, "OTTU_API_KEY and OTTU_PASSWORD are both given; write one way"),
    "no password": (BY_USER | {"OTTU_PASSWORD": ""}, "OTTU_PASSWORD is missing; write the user's password"),
    "no user name": (BY_USER | {"OTTU_USERNAME": ""}, "OTTU_USERNAME is missing; write the user's name"),
    "a name with a colon": (BY_USER | {"OTTU_USERNAME": "a:hush"}, "OTTU_USERNAME holds a colon"),
    "a key with a space": ({"OTTU_API_KEY": "Api-Key hush"}, "OTTU_API_KEY holds a space"),
    "a key of two lines": ({"OTTU_API_KEY": "a\nhush"}, "OTTU_API_KEY is too long, or holds a line break"),
    "an endless key": ({"OTTU_API_KEY": "hush" * 3_000}, "OTTU_API_KEY is too long"),
    "postgresql": (
        {"DATABASE_URL": "postgresql://u:hush@h/d"},
        "DATABASE_URL names PostgreSQL, which is not built yet",
    ),
    "another engine": (
        {"DATABASE_URL": "mysql://u:hush@h/d"},
        "DATABASE_URL is no file of SQLite; write sqlite:///file",
    ),
    "two slashes": ({"DATABASE_URL": "sqlite://a.db"}, "DATABASE_URL is no file of SQLite"),
    "no file": ({"DATABASE_URL": "sqlite:///"}, "DATABASE_URL is no file of SQLite"),
    "memory": ({"DATABASE_URL": "sqlite:///:memory:"}, "DATABASE_URL is no file of SQLite"),
    "options": ({"DATABASE_URL": "sqlite:///a.db?mode=ro"}, "DATABASE_URL is no file of SQLite"),
    "a short audit key": (
        {"AUDIT_KEY": "hush"},
        "AUDIT_KEY is too short; write a random key of at least 16 characters",
    ),
    "no port number": ({"PORT": "http"}, "PORT is no port"),
    "a large port": ({"PORT": "65536"}, "PORT is no port"),
    "digits of another script": ({"PORT": "٣٠٠٠"}, "PORT is no port"),
    "a misspelt key": ({"OTTU_APIKEY": "hush"}, "'OTTU_APIKEY' is no known setting; write OTTU_API_KEY, or remove it"),
    "an empty unknown key": ({"SLACK_TOKEN": ""}, "'SLACK_TOKEN' is no known setting; write SLACK_"),
    "a file of nothing known": ({"SLACK_BOT_FILE": "/hush"}, "'SLACK_BOT_FILE' is no known setting; write SLACK_"),
}


@pytest.mark.parametrize(("changes", "expected"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_one_line_that_names_the_setting_and_shows_no_value(
    changes: Mapping[str, str], expected: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(changes)
    assert str(caught.value).startswith(expected)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "spelt", "on_loopback"),
    [
        ("https://Shop.ottu.net/", "https://shop.ottu.net", False),
        ("https://shop.ottu.net:443", "https://shop.ottu.net", False),
        ("https://shop.ottu.net:8443", "https://shop.ottu.net:8443", False),
        ("http://127.8.0.1:80", "http://127.8.0.1", True),
        ("http://localhost:9000", "http://localhost:9000", True),
        ("http://[::1]:9000", "http://[::1]:9000", True),
        ("https://127.0.0.1", "https://127.0.0.1", True),
    ],
)
def test_a_base_url_is_spelt_in_one_way(url: str, spelt: str, on_loopback: bool) -> None:
    """A database belongs to one: another spelling must not look like another account."""
    settings = read({"OTTU_BASE_URL": url})
    assert (settings.ottu_base_url, settings.ottu_on_loopback) == (spelt, on_loopback)


def test_the_process_environment_wins_even_with_nothing() -> None:
    dotenv = GOOD | {"SLACK_SIGNING_SECRET": "signing-1", "PORT": "4000", "HOST": None}
    settings = read_settings({"SLACK_APP_TOKEN": "", "PORT": "5000"}, dotenv)
    assert not settings.socket_mode
    assert (settings.host, settings.port) == ("127.0.0.1", 5000)


def test_a_value_can_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    for content in ("secret", "secret\n", "secret\r\n"):
        file.write_bytes(content.encode())
        settings = read({"OTTU_API_KEY": "", "OTTU_API_KEY_FILE": str(file)})
        assert settings.ottu_api_key
        assert settings.ottu_api_key.get_secret_value() == "secret"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "OTTU_API_KEY_FILE names a file that cannot be read"),
        (b"\xff\xfe", "OTTU_API_KEY_FILE names a file that cannot be read"),
        (b"\n", "OTTU_API_KEY_FILE names an empty file; write into it the private API key"),
        (b"hush\n\n", "OTTU_API_KEY is too long, or holds a line break"),
        (b"h" * 20_000, "OTTU_API_KEY is too long"),
    ],
)
def test_a_file_that_holds_no_value_is_an_error(tmp_path: Path, content: bytes | None, expected: str) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=expected) as caught:
        read({"OTTU_API_KEY": "", "OTTU_API_KEY_FILE": str(file)})
    assert "hush" not in str(caught.value)


def test_a_value_and_its_file_together_are_refused() -> None:
    with pytest.raises(SettingsError, match="OTTU_API_KEY and OTTU_API_KEY_FILE are both given; write one of them"):
        read({"OTTU_API_KEY_FILE": "/nowhere"})


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, in a process environment without settings."""
    for name in [name for name in os.environ if name.startswith(("SLACK_", "OTTU_")) or name in KNOWN]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_dotenv_is_read_from_the_working_directory_and_a_dollar_is_a_dollar(directory: Path) -> None:
    values = {**GOOD, "OTTU_API_KEY": "a${HOME}b"}
    (directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    settings = load_settings()
    assert settings.ottu_api_key
    assert settings.ottu_api_key.get_secret_value() == "a${HOME}b"


def test_without_dotenv_the_environment_alone_counts(directory: Path) -> None:
    assert not (directory / ".env").exists()
    with pytest.raises(SettingsError, match="OTTU_API_KEY is missing"):
        load_settings()


def test_dotenv_that_is_no_text_is_an_error(directory: Path) -> None:
    (directory / ".env").write_bytes(b"OTTU_API_KEY=\xff\n")
    with pytest.raises(SettingsError, match=r"^\.env cannot be read"):
        load_settings()


def test_the_example_names_every_setting_each_with_its_comment_and_holds_no_secret() -> None:
    example = ROOT / ".env.example"
    values = dotenv_values(example, interpolate=False)
    assert set(values) == set(KNOWN)
    lines = example.read_text().splitlines()
    assert all(
        lines[number - 1].startswith("# ") for number, line in enumerate(lines) if "=" in line and line[0] != "#"
    )
    given = {name: value for name, value in values.items() if value}
    assert read_settings(GOOD, values) == read_settings(GOOD, {})  # what it gives are the defaults
    assert set(given) == {"SLACK_API_URL", "DATABASE_URL", "POLICY_FILE", "HOST", "PORT"}
