from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_runner.core.secrets import masked

KEYS = [
    "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz",
    "sk-proj-AbCdEfGhIjKlMnOpQrStUvWxYz",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "github_pat_11ABCDEFG0123456789_abcdefghij",
    "glpat-abcdefghij0123456789",
    "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "xoxb-123456789012-abcdefghijkl",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyD-abcdefghijklmnopqrstuvwxyz01234",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("around", ["{}", "is it {}?", "X={}", '{{"key": "{}"}}', "Authorization: Bearer {}", "'{}',"])
def test_a_key_is_hidden_wherever_it_stands(key: str, around: str) -> None:
    shown = masked(around.format(key))
    assert key[-10:] not in shown
    assert "•••" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=hunter2hunter2", "password=•••"),
        ("DB_PASSWORD: 'correct-horse'", "DB_PASSWORD: '•••'"),
        ("my_api_key = abcdefghijk, and so on", "my_api_key = •••, and so on"),
        ("push to https://me:s3cr3t@example.org/x", "push to https://me:•••@example.org/x"),
        ("key:\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nthere", "key:\n"),
    ],
)
def test_the_rest_of_the_text_stays(text: str, shown: str) -> None:
    assert masked(text).startswith(shown)
    assert "MIIE" not in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "Which database: postgres or sqlite?",
        "fix-login: pending → running (run 1)",
        "Invalid API key · Fix external API key",
        "https://example.org:8080/path?x=1",
        "the token is missing",
        "sk-1",
        "max_tokens: 4096",
        "see docs/secrets.md",
    ],
)
def test_ordinary_texts_are_shown_as_they_are(text: str) -> None:
    assert masked(text) == text


@given(st.text())
def test_any_text_can_be_masked_and_masking_twice_is_masking_once(text: str) -> None:
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize(
    "piece", ["eyJ", "a://", "token", "-----BEGIN PRIVATE KEY-----", "sk-", "x" * 50, "://:", "key="]
)
def test_no_text_takes_long(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    begin = time.perf_counter()
    masked(text)
    assert time.perf_counter() - begin < 2
