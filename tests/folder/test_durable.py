"""The one door to the disk: nothing is ever replaced or left half, and nothing but a plain file is ever read."""

from __future__ import annotations

import os
import resource
import signal
import socket
import stat
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from dropbox_runner.folder import durable
from dropbox_runner.folder.durable import UnreadableError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ---------------------------------------------------------------------------------------------- write


def test_a_written_file_is_there_whole_and_private_with_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "record.json"
    durable.write(target, b"first")
    durable.write(target, b"second")
    assert target.read_bytes() == b"second"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert names(tmp_path) == {"record.json"}


def test_a_reader_never_sees_a_change_inside_the_file_it_has_open(tmp_path: Path) -> None:
    target = tmp_path / "record.json"
    durable.write(target, b"first")
    with target.open("rb") as reader:
        durable.write(target, b"second")
        assert reader.read() == b"first"


def test_a_write_that_fails_leaves_what_was_there_and_no_half(tmp_path: Path) -> None:
    target = tmp_path / "record.json"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        durable.write(target, b"data")
    assert names(tmp_path) == {"record.json"}


def test_left_overs_of_a_crash_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f".record.json.{os.getpid()}.dropbox-runner.tmp").write_bytes(b"half")
    (tmp_path / ".record.json.1.dropbox-runner.tmp").write_bytes(b"half of an earlier daemon")
    durable.write(tmp_path / "record.json", b"whole")
    assert (tmp_path / "record.json").read_bytes() == b"whole"
    assert f".record.json.{os.getpid()}.dropbox-runner.tmp" not in names(tmp_path)


def test_a_link_under_the_temp_name_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / f".record.json.{os.getpid()}.dropbox-runner.tmp").symlink_to(victim)
    durable.write(tmp_path / "record.json", b"data")
    assert victim.read_bytes() == b"precious"


def test_writing_where_a_link_lies_replaces_the_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "question.json").symlink_to(victim)
    durable.write(tmp_path / "question.json", b"ours")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "question.json").is_symlink()


def test_what_dead_writers_have_left_half_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = {
        "record.json",
        ".hidden",
        ".draft.tmp",
        f".record.json.{os.getpid()}.dropbox-runner.tmp",
        ".record.json.x.dropbox-runner.tmp",
        ".syncthing.plan.2024.tmp",
    }
    for name in (*kept, ".record.json.999999999.dropbox-runner.tmp", ".STATUS.md.999999998.dropbox-runner.tmp"):
        (tmp_path / name).touch()
    durable.remove_halves(tmp_path)
    assert names(tmp_path) == kept


@pytest.mark.parametrize("put", [durable.write, durable.replace_soon])
def test_on_a_full_disk_nothing_half_is_left(tmp_path: Path, put: Callable[[Path, bytes], None]) -> None:
    target = tmp_path / "STATUS.md"
    put(target, b"before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            put(target, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heard)
    assert names(tmp_path) == {"STATUS.md"}
    assert target.read_bytes() == b"before"


# ---------------------------------------------------------------------------------------------- move


def test_a_file_and_a_folder_are_moved_whole(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x").write_text("x")
    durable.move(tmp_path / "a" / "x", tmp_path / "b" / "y")
    assert (tmp_path / "b" / "y").read_text() == "x"
    durable.move(tmp_path / "b", tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "y").read_text() == "x"


@pytest.mark.parametrize("kind", ["file", "empty folder", "dangling link"])
def test_nothing_is_ever_replaced(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    source = tmp_path / "source"
    match kind:
        case "file":
            target.write_text("old")
            source.write_text("new")
        case "empty folder":
            target.mkdir()
            source.mkdir()
        case _:
            target.symlink_to(tmp_path / "nowhere")
            source.write_text("new")
    before = target.lstat()
    with pytest.raises(FileExistsError):
        durable.move(source, target)
    assert source.exists()
    assert target.lstat().st_ino == before.st_ino


def test_moving_what_is_not_there_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        durable.move(tmp_path / "none", tmp_path / "target")
    assert names(tmp_path) == set()


def test_a_folder_is_made_once_and_private_and_a_missing_file_is_removed_without_a_word(tmp_path: Path) -> None:
    for _ in range(2):
        durable.make_directory(tmp_path / "d")
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o700
    (tmp_path / "f").touch()
    for _ in range(2):
        durable.remove(tmp_path / "f")
    assert names(tmp_path) == {"d"}


# ---------------------------------------------------------------------------------------------- read


def test_a_plain_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"1234567890")
    assert durable.read(path) == b"1234567890"
    assert durable.read(path, 10) == b"1234567890"
    with pytest.raises(UnreadableError, match=r"x\.yaml is larger than 9 bytes"):
        durable.read(path, 9)


def test_a_file_of_ten_gigabytes_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.touch()
    os.truncate(path, 10 << 30)
    tracemalloc.start()
    with pytest.raises(UnreadableError, match="larger than"):
        durable.read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20, "not a byte of it is read"


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        durable.read(tmp_path / "none")


@pytest.mark.parametrize("aim", ["/etc/passwd", "nowhere", "x.yaml"], ids=["to a secret", "dangling", "to itself"])
def test_a_link_is_never_followed(tmp_path: Path, aim: str) -> None:
    path = tmp_path / "x.yaml"
    path.symlink_to(aim)
    with pytest.raises(UnreadableError, match="symbolic link"):
        durable.read(path)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["fifo", "folder", "socket", "device"])
def test_what_is_no_plain_file_is_refused_and_never_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.yaml"
    with socket.socket(socket.AF_UNIX) as listener:
        match kind:
            case "fifo":
                os.mkfifo(path)
            case "folder":
                path.mkdir()
            case "socket":
                listener.bind(str(path))
            case _:
                path = Path("/dev/zero")
        with pytest.raises(UnreadableError):
            durable.read(path)
