"""The unit: one template, and words that systemd reads as they were meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbox_runner.cli.unit import is_ours, quoted, render, template

SHIPPED = Path(__file__).parents[2] / "systemd" / "dropbox-runner.service"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("/usr/bin/python3", "/usr/bin/python3"),
        ("--claude=/opt/claude", "--claude=/opt/claude"),
        ("", '""'),
        ("my inbox", '"my inbox"'),
        ("50% off", '"50%% off"'),
        ("%h", "%%h"),
        ('say "x"', '"say \\"x\\""'),
        ("it's", '"it\'s"'),
        ("a\\b", '"a\\\\b"'),
        ("$HOME", '"$HOME"'),
        (";", '";"'),
        ("#no comment", '"#no comment"'),
        ("two\nlines", '"two\\nlines"'),
        ("späße", "späße"),
        ("\x07", '"\\x07"'),
        ("\udcff", '"\\xff"'),
        ("~/x", '"~/x"'),
    ],
)
def test_every_word_is_written_so_that_systemd_reads_it_again(text: str, written: str) -> None:
    expected = written if written.isascii() else f'"{written}"'
    assert quoted(text) == expected


def test_the_unit_to_copy_by_hand_is_the_template() -> None:
    assert template() == SHIPPED.read_text()
    assert is_ours(SHIPPED.read_text())


def test_what_is_installed_differs_from_it_in_the_command_and_the_variables_alone() -> None:
    made = render(["/my python", "-m", "dropbox_runner", "run", "/in box"], {"PATH": "/a b:/c", "XDG_STATE_HOME": "/s"})
    old, new = template().splitlines(), made.splitlines()
    assert [line for line in new if line not in old] == [
        'ExecStart=:"/my python" -m dropbox_runner run "/in box"',
        'Environment="PATH=/a b:/c"',
        "Environment=XDG_STATE_HOME=/s",
    ]
    assert [line.partition("=")[0] for line in old if line not in new] == ["ExecStart", "Environment"]
    assert is_ours(made)


def test_the_template_keeps_the_agents_alive() -> None:
    for line in ("KillMode=process", "RestartKillSignal=SIGUSR1", "OOMPolicy=continue", "Type=notify"):
        assert line in template().splitlines()
