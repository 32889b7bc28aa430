"""Real daemons where events do not come: other people's limits, a FUSE mount, a folder that was away."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import World

pytestmark = [pytest.mark.slow, pytest.mark.watcher]
"""These tests are about it."""

NOT_READABLE = "the folder cannot be read, nothing is done until it can"


@pytest.fixture
def behind(world: World) -> Iterator[Path]:
    """The folder behind the inbox, which is now a FUSE mount of it: what is done there causes no event."""
    if shutil.which("bindfs") is None or not Path("/dev/fuse").exists():
        pytest.skip("needs bindfs, and /dev/fuse")
    behind = world.base / "behind"
    world.root.rename(behind)
    world.root.mkdir()
    mounted = subprocess.run(["bindfs", str(behind), str(world.root)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"bindfs cannot mount here: {mounted.stderr}")
    yield behind
    world.end()
    subprocess.run(["fusermount", "-u", "-z", str(world.root)], check=True)


def test_a_drop_behind_a_fuse_mount_is_found_by_looking_often_without_being_told_to(world: World, behind: Path) -> None:
    daemon = world.start()
    assert f"{world.root} is on {world.root} (fuse" in daemon.log
    assert "looking every 2 s as well" in daemon.log
    outside = world.base / "x.yaml"
    outside.write_text("instructions: x\n")
    outside.rename(behind / "x.yaml")
    world.wait_for("x", "done")


@pytest.mark.parametrize(
    ("limit", "sysctl"),
    [("max_inotify_watches", "max_user_watches"), ("max_inotify_instances", "max_user_instances")],
)
def test_a_daemon_that_the_kernel_grants_no_events_says_so_once_and_works_all_the_same(
    limit: str, sysctl: str, world: World
) -> None:
    grudging = f'echo 0 > /proc/sys/user/{limit} && exec "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "sh", "-c", grudging, "sh")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs user namespaces")
    world.play([{"ask": {"text": "Well?"}}], [{"say": "Done."}])
    daemon = world.start(prefix=prefix)
    world.move_in("x.yaml")
    world.wait_for("x", "blocked")
    world.answer("x", "Yes.\n")
    world.wait_for("x", "done")
    assert daemon.log.count(sysctl) == 1


def test_a_folder_that_was_away_is_watched_again_without_being_told(world: World) -> None:
    """The new one is another inode; the watch on the old one would never ring."""
    world.settings(poll="60s")
    daemon = world.start()
    another = shutil.copytree(world.root, world.base / "another")
    world.root.rename(world.base / "away")
    daemon.wait_for_log(NOT_READABLE)
    another.rename(world.root)  # not copied there: of half a folder the daemon makes what lacks, at the same time
    daemon.wait_for_log("the folder can be read again")
    world.move_in("x.yaml")
    world.wait_for("x", "done")


def test_an_inbox_behind_a_symbolic_link_is_watched(world: World) -> None:
    world.settings(poll="60s")
    real = world.root.rename(world.base / "real")
    world.root.symlink_to(real)
    world.start()
    world.move_in("x.yaml")
    world.wait_for("x", "done")


def test_a_state_folder_that_was_replaced_is_watched_again(world: World) -> None:
    """A sync tool that restores a folder makes a new one of the same name."""
    world.settings(poll="60s")
    world.play([{"ask": {"text": "Well?"}}], [{"say": "Done."}])
    world.start()
    world.move_in("x.yaml")
    blocked = world.wait_for("x", "blocked").parent
    restored = shutil.copytree(blocked, world.base / "restored")
    blocked.rename(world.base / "old")
    restored.rename(blocked)  # also over the empty one that the daemon may have made by now
    (blocked / "x" / "answer.md").write_text("Yes.\n.\n")
    world.wait_for("x", "done")
