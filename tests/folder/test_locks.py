"""The locks of editors: whose they are, and whether whoever made them still lives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dropbox_runner.folder.locks import lock_on

HERE = socket.gethostname()


@pytest.fixture(scope="module")
def dead() -> int:
    """The pid of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def swap(path: Path, pid: int, host: str = HERE, version: bytes = b"VIM 9.0") -> Path:
    """A swap file as vim and nano begin it."""
    head = b"b0" + version.ljust(10, b"\0") + bytes(12) + pid.to_bytes(4, "little")
    path.write_bytes(head + b"me".ljust(40, b"\0") + host.encode().ljust(40, b"\0") + bytes(900))
    return path


def siblings(folder: Path) -> frozenset[str]:
    return frozenset(os.listdir(folder))  # noqa: PTH208


@pytest.mark.parametrize(
    ("lock", "editor"),
    [
        (".x.yaml.swp", "vim"),
        (".x.yaml.swo", "vim"),
        (".x.yaml.swn", "vim"),
        (".#x.yaml", "emacs"),
        ("#x.yaml#", "emacs"),
        (".~lock.x.yaml#", "LibreOffice"),
        (".x.yaml.kate-swp", "Kate"),
        ("x.yaml___jb_tmp___", "JetBrains"),
    ],
)
def test_an_editor_is_named_by_its_lock(tmp_path: Path, lock: str, editor: str) -> None:
    (tmp_path / lock).touch()
    found = lock_on(tmp_path / "x.yaml", siblings(tmp_path))
    assert found is not None
    assert editor in found.editor
    assert found.path == tmp_path / lock
    assert found.alive is None, "an empty lock does not say whose it is"


@pytest.mark.parametrize("other", [".y.yaml.swp", "x.yaml~", "x.yaml.bak", ".xxyaml.swp", ".x.yaml", "x.swp"])
def test_the_lock_of_another_file_is_no_lock_of_this_one(tmp_path: Path, other: str) -> None:
    assert lock_on(tmp_path / "x.yaml", {"x.yaml", other}) is None


@pytest.mark.parametrize(("version", "editor"), [(b"VIM 9.0", "vim"), (b"nano 7.2", "nano")])
def test_a_swap_file_says_which_editor_has_made_it_and_whether_that_lives(
    tmp_path: Path, dead: int, version: bytes, editor: str
) -> None:
    for pid, alive in ((os.getpid(), True), (dead, False)):
        swap(tmp_path / ".x.yaml.swp", pid, version=version)
        found = lock_on(tmp_path / "x.yaml", siblings(tmp_path))
        assert found is not None
        assert (found.editor, found.alive) == (editor, alive)


def test_the_lock_of_another_machine_says_nothing(tmp_path: Path, dead: int) -> None:
    swap(tmp_path / ".x.yaml.swp", dead, host="laptop")
    found = lock_on(tmp_path / "x.yaml", siblings(tmp_path))
    assert found is not None
    assert found.alive is None


def test_a_pid_that_belongs_to_somebody_else_by_now_is_not_the_editor(tmp_path: Path) -> None:
    path = swap(tmp_path / ".x.yaml.swp", os.getpid())
    last_year = time.time() - 365 * 86400
    os.utime(path, (last_year, last_year))
    found = lock_on(tmp_path / "x.yaml", siblings(tmp_path))
    assert found is not None
    assert found.alive is False


@pytest.mark.parametrize(
    ("owner", "alive"),
    [
        (f"me@{HERE}.{os.getpid()}:1763800000", True),
        (f"me@{HERE}.{os.getpid()}", True),
        ("me@laptop.example.org.4711:1763800000", None),
        ("nonsense", None),
    ],
    ids=["with boot", "without boot", "another host", "nonsense"],
)
def test_the_lock_of_emacs_is_a_link_that_leads_nowhere(tmp_path: Path, owner: str, *, alive: bool | None) -> None:
    (tmp_path / ".#x.yaml").symlink_to(owner)
    found = lock_on(tmp_path / "x.yaml", siblings(tmp_path))
    assert found is not None
    assert (found.editor, found.alive) == ("emacs", alive)


def test_a_lock_that_emacs_left_when_it_died_is_known(tmp_path: Path, dead: int) -> None:
    (tmp_path / ".#x.yaml").symlink_to(f"me@{HERE}.{dead}:1763800000")
    found = lock_on(tmp_path / "x.yaml", siblings(tmp_path))
    assert found is not None
    assert found.alive is False


@pytest.mark.parametrize("content", [b"", b"b0", b"\xff" * 4096, b"b0VIM 9.0" + b"\xff" * 200])
def test_a_lock_full_of_nonsense_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".x.yaml.swp").write_bytes(content)
    found = lock_on(tmp_path / "x.yaml", siblings(tmp_path))
    assert found is not None
    assert found.alive is None
