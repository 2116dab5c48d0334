"""Where the client connects to, and with what."""

from __future__ import annotations

import pytest

import ottu
from tests.ottu.server import KEY

AUTH = ottu.ApiKey(KEY)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.ottu.net",
        "https://example.ottu.net/",
        "HTTPS://example.ottu.net:8443/prefix",
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "http://[::1]:8080",
        "http://localhost:8080",
    ],
)
async def test_a_base_url_that_is_safe_is_taken(url: str) -> None:
    """Encrypted, or on this machine."""
    async with ottu.Client(url, AUTH) as client:
        assert repr(client) == f"<ottu.Client {url.rstrip('/')}>"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.ottu.net",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://0.0.0.0",
        "https://user:secret@example.ottu.net",
        "https://example.ottu.net?a=b",
        "https://example.ottu.net/#a",
        "https://example.ottu.net:99999",
        "https://",
        "https://[::1",
        "https://a b",
        "https://example.ottu.net\n",
        "ftp://example.ottu.net",
        "example.ottu.net",
        "",
    ],
)
def test_a_base_url_that_is_not_safe_is_refused(url: str) -> None:
    """The key would cross the network in the clear, or go somewhere unforeseen; and no error quotes a password."""
    with pytest.raises(ValueError, match="The base URL must") as caught:
        ottu.Client(url, AUTH)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["", "proxy:8080", "socks5://proxy:1080", "http://user:secret@pro xy"])
def test_a_proxy_that_cannot_be_used_is_refused(proxy: str) -> None:
    """At the start, and not at the first refund."""
    with pytest.raises(ValueError, match="The proxy must") as caught:
        ottu.Client("https://example.ottu.net", AUTH, proxy=proxy)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_there_is_no_call_without_a_time_limit(seconds: float) -> None:
    """Nothing waits for ever, and nothing is over before it begins."""
    with pytest.raises(ValueError, match="more than 0 seconds"):
        ottu.Client("https://example.ottu.net", AUTH, deadline_seconds=seconds)
    with pytest.raises(ValueError, match="more than 0 seconds"):
        ottu.Client("https://example.ottu.net", AUTH, connect_seconds=seconds)


def test_credentials_do_not_show_themselves() -> None:
    """They are passed about, and something will print them."""
    for credentials in (ottu.ApiKey(KEY), ottu.Basic("bot", KEY)):
        assert KEY not in repr(credentials) + str(credentials)
        assert KEY not in repr(ottu.Client("https://example.ottu.net", credentials))


def test_credentials_that_cannot_be_sent_are_refused() -> None:
    """A line break in a key would be a header of somebody else's making."""
    for key in ("", "a b", "a\r\nX-Evil: 1", "ü"):
        with pytest.raises(ValueError, match="API key"):
            ottu.ApiKey(key)
    for username, password in (("", "x"), ("x", ""), ("a:b", "x")):
        with pytest.raises(ValueError, match="user name"):
            ottu.Basic(username, password)
