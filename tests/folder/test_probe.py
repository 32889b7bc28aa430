"""Who else is busy with a file: real programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dropbox_runner.core.settle import Fingerprint
from dropbox_runner.folder.probe import fingerprint, is_plain, open_for_writing

_HOLD = "import sys; file = open(sys.argv[1], sys.argv[2]); print(flush=True); sys.stdin.read()"


@contextmanager
def held(path: Path, mode: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another program that has the file open."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.communicate(b"")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.yaml"
    path.write_text("instructions: x\n")
    return path


@pytest.mark.parametrize(("mode", "busy"), [("r+b", True), ("ab", True), ("rb", False)])
def test_a_program_that_has_it_open_for_writing_is_seen_until_it_closes(path: Path, mode: str, *, busy: bool) -> None:
    assert not open_for_writing(path)
    with held(path, mode):
        assert open_for_writing(path) is busy
        assert open_for_writing(path) is busy, "asking changes nothing"
    assert not open_for_writing(path)


def test_asking_does_not_stand_in_the_way_of_whoever_writes_next(path: Path) -> None:
    assert not open_for_writing(path)
    with held(path, "ab") as process:
        assert process.poll() is None
        assert open_for_writing(path)


def test_a_writer_that_died_holds_nothing(path: Path) -> None:
    with held(path, "ab") as process:
        process.kill()
        process.wait()
        assert not open_for_writing(path)


@pytest.mark.timeout(10)
def test_what_is_no_plain_file_is_nobodys_and_never_waited_for(tmp_path: Path) -> None:
    assert not open_for_writing(tmp_path / "none")
    assert not open_for_writing(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    assert not open_for_writing(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert not open_for_writing(tmp_path / "link")


def test_plain_files(tmp_path: Path, path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(path)
    assert is_plain(path)
    assert not any(is_plain(tmp_path / name) for name in ("fifo", "link", "none", "."))


def test_the_fingerprint_changes_with_every_way_to_save(path: Path, tmp_path: Path) -> None:
    seen = {fingerprint(path)}
    path.write_text("instructions: y and more\n")
    seen.add(fingerprint(path))
    os.utime(path, ns=(1, 1))
    seen.add(fingerprint(path))
    (tmp_path / "beside").write_text("instructions: y and more\n")
    os.utime(tmp_path / "beside", ns=(1, 1))
    (tmp_path / "beside").replace(path)
    seen.add(fingerprint(path))
    assert len(seen) == 4
    path.unlink()
    assert fingerprint(path) is None


def test_the_fingerprint_of_a_link_is_its_own(tmp_path: Path, path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    assert fingerprint(tmp_path / "link") != fingerprint(path)
    assert isinstance(fingerprint(path), Fingerprint)
