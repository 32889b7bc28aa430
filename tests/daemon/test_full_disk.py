"""Disks that are full, too small, read-only, or not one disk: real ones (tmpfs and bind mounts, as root)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import World, alive, wait_until

pytestmark = pytest.mark.faults


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


def unmount(path: Path) -> None:
    subprocess.run(["umount", "--lazy", str(path)], check=True, capture_output=True)


@pytest.fixture
def mounts() -> Iterator[list[Path]]:
    """What a test has mounted, and is taken down after it."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount small disks")
    made: list[Path] = []
    yield made
    for path in reversed(made):
        unmount(path)


@pytest.fixture
def small(world: World, mounts: list[Path]) -> World:
    """A world whose inbox lies on a disk of 8 MB."""
    kept = world.base / "kept"
    world.root.rename(kept)
    world.root.mkdir()
    mount("-t", "tmpfs", "-o", "size=8m,nr_inodes=400", "tmpfs", world.root)
    mounts.append(world.root)
    subprocess.run(["cp", "-a", f"{kept}/.", str(world.root)], check=True)
    return world


def fill(world: World, leave_kb: int) -> Path:
    """Fill the disk but for so much."""
    seen = os.statvfs(world.root)
    ballast = world.root / "ballast.bin"
    with ballast.open("ab") as file:
        file.write(b"\0" * max(0, seen.f_bavail * seen.f_frsize - leave_kb * 1024))
    return ballast


def visible_empty_files(world: World) -> list[str]:
    """Files of ours that a person would see and find nothing in; logs begin empty."""
    files = [path for path in world.root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return [path.name for path in files if path.stat().st_size == 0 and path.suffix not in (".stderr", ".jsonl")]


def test_on_a_full_disk_nothing_is_taken_the_agent_works_on_and_all_goes_on_when_there_is_room(
    small: World, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    small.settings(min_free_mb=0)
    small.play(rules={"at work": [[{"wait_for": str(gate)}, {"say": "Done."}]], "later": [[{"say": "Done."}]]})
    daemon = small.start("--poll", "0.2")
    small.drop("first.txt", "at work\n")
    small.wait_for("first", "running")
    pid = small.agent_pid("first")
    wait_until(small.calls, "claude never came up")
    ballast = fill(small, leave_kb=64)
    dropped = small.drop("second.txt", "later\n")
    daemon.wait_for_log("second.txt: the disk is nearly full: 0 MB are free, 4 MB are needed")
    assert "the disk is nearly full" in small.run("status", str(small.root)).stdout
    assert dropped.read_text() == "later\n"
    assert alive(pid)
    # Its end finds not one free byte: it is judged when there is room.
    fill(small, leave_kb=0)
    gate.touch()
    wait_until(lambda: not alive(pid), "the agent never ended")
    assert visible_empty_files(small) == []
    assert small.where("first") == "running"
    ballast.unlink()
    small.wait_for("first", "done")
    small.wait_for("second", "done")
    assert len(small.calls()) == 2
    assert visible_empty_files(small) == []


def test_a_disk_without_inodes_is_full_as_well(small: World) -> None:
    small.settings(min_free_mb=0)
    small.play([{"say": "Done."}])
    daemon = small.start("--poll", "0.2")
    heap = small.root / "heap"
    heap.mkdir()
    for number in range(os.statvfs(small.root).f_favail - 20):
        (heap / str(number)).touch()
    small.drop("x.txt", "work\n")
    daemon.wait_for_log("it has room for")
    assert small.where("x") is None
    for path in heap.iterdir():
        path.unlink()
    small.wait_for("x", "done")


def test_a_daemon_comes_up_on_a_full_disk_and_sees_to_the_agents_that_still_work(small: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    small.settings(min_free_mb=0)
    small.play([{"wait_for": str(gate)}, {"say": "Done."}])
    first = small.start("--poll", "0.2")
    small.drop("x.txt", "work\n")
    pid = small.agent_pid("x")
    wait_until(small.calls, "claude never came up")
    first.kill()
    heap = small.root / "heap"
    heap.mkdir()
    for number in range(os.statvfs(small.root).f_favail):
        (heap / str(number)).touch()
    second = small.launch("--poll", "0.2")
    second.wait_for_log(f"adopted: pid {pid}")
    for path in heap.iterdir():
        path.unlink()
    gate.touch()
    small.wait_for("x", "done")
    assert len(small.calls()) == 1


def test_too_little_room_for_a_start_holds_the_queue_and_says_so_once(small: World) -> None:
    small.play([{"say": "Done."}])
    daemon = small.start("--poll", "0.1")
    for name in ("x", "y"):
        small.drop(f"{name}.txt", f"work {name}\n")
    for name in ("x", "y"):
        small.wait_until_queued(name)
    held = "100 MB are needed (setting `min_free_mb`)"
    daemon.wait_for_log(held)
    assert held in small.run("status", str(small.root)).stdout
    assert held in (small.root / "STATUS.md").read_text()
    assert daemon.log.count(held) == 1
    assert small.calls() == []


def test_a_disk_that_becomes_read_only_is_waited_for_and_its_agent_goes_on(small: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    small.settings(min_free_mb=0)
    small.play([{"wait_for": str(gate)}, {"say": "Done."}])
    daemon = small.start("--poll", "0.1")
    small.drop("x.txt", "work\n")
    small.wait_for("x", "running")
    pid = small.agent_pid("x")
    wait_until(small.calls, "claude never came up")
    (small.root / "y.txt").write_text("work\n")
    small.wait_until_queued("y")
    # Refused while the agent has its log open; bound over itself it is read-only for everybody who comes by path.
    mount("--bind", small.root, small.root)
    mount("-o", "remount,bind,ro", small.root)
    try:
        (small.base / "outside.txt").write_text("work\n")
        gate.touch()
        wait_until(lambda: not alive(pid), "the agent never ended")
        daemon.wait_for_log("Read-only file system")
        assert small.where("x") == "running"
    finally:
        unmount(small.root)
    small.wait_for("x", "done")
    small.wait_for("y", "done")
    assert len(small.calls()) == 2


def test_a_state_folder_on_another_disk_is_refused_at_the_start(small: World, mounts: list[Path]) -> None:
    done = small.root / "done"
    mount("-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", done)
    mounts.append(done)
    daemon = small.launch()
    assert daemon.wait() == 78
    assert f"{done}: no task could be moved there" in daemon.log
    assert "all of the folder must lie on one filesystem" in daemon.log


def test_a_state_folder_that_is_only_bound_there_is_refused_too(small: World, mounts: list[Path]) -> None:
    other = small.root / "other"
    other.mkdir()
    mount("--bind", other, small.root / "failed")
    mounts.append(small.root / "failed")
    daemon = small.launch()
    assert daemon.wait() == 78
    assert "all of the folder must lie on one filesystem" in daemon.log


def test_an_unmounted_disk_is_not_an_empty_queue(small: World, mounts: list[Path], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    small.settings(min_free_mb=0)
    small.play([{"wait_for": str(gate)}, {"say": "Done."}])
    daemon = small.start("--poll", "0.1")
    small.drop("x.txt", "work\n")
    small.wait_for("x", "running")
    pid = small.agent_pid("x")
    wait_until(small.calls, "claude never came up")
    held = small.base / "held"
    held.mkdir()
    mount("--bind", small.root, held)
    mounts.insert(0, held)
    unmount(small.root)
    mounts.remove(small.root)
    daemon.wait_for_log("another folder lies in its place (is its disk mounted?)")
    assert list(small.root.iterdir()) == []
    assert alive(pid)
    mount("--bind", held, small.root)
    mounts.append(small.root)
    daemon.wait_for_log("the folder can be read again")
    gate.touch()
    small.wait_for("x", "done")
    assert len(small.calls()) == 1
