"""Whatever brings a file into the inbox, and however slowly: it is taken once, and whole. With the settings as shipped.

All of them write at the same time, as a household does; each test waits for one.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from harness import World, wait_until
from user import assert_taken_once_and_whole, needs, tasks_of, wait_until_done

pytestmark = pytest.mark.tools

WAYS = {
    # Copied and moved.
    "cp": "cp $file $inbox/",
    "cp-p": "cp -p $file $inbox/",
    "install": "install -m 644 $file $inbox/",
    "mv": "mv $file $inbox/",
    "hard-link": "ln $file $inbox/",
    "mv-from-another-filesystem": "cp -p $file $elsewhere/ && mv $elsewhere/$name.md $inbox/",
    # Slowly.
    "cat-with-a-pause": "{ head -n 9 $file; sleep 3; tail -n +10 $file; } > $to",
    "cat-that-closes-and-opens-again": "head -n 9 $file > $to; sleep 3; tail -n +10 $file >> $to",
    "cat-that-pauses-for-longer-than-the-settle-time": "{ head -n 9 $file; sleep 7; tail -n +10 $file; } > $to",
    "dd-in-pieces": """for at in 0 1 2 3 4 5 6 7 8 9; do
        dd if=$file of=$to bs=2k count=1 skip=$at seek=$at conv=notrunc; sleep 0.5
        done""",
    "fallocate": "fallocate -l $(stat -c %s $file) $to; exec 3<>$to; sleep 7; cat $file >&3",
    "touch": "touch $to; sleep 3; cat $file > $to",
    "touch-again-and-again": "cp -p $file $to; for at in 1 2 3; do sleep 2; touch $to; done",
    "truncated-and-written-again": "head -n 9 $file > $to; sleep 2; : > $to; sleep 6; cat $file > $to",
    # Renamed from a temp name beside it, as careful programs save.
    "temp-name": "head -n 9 $file > $to.tmp; sleep 3; tail -n +10 $file >> $to.tmp; mv $to.tmp $to",
    "temp-name-twice": "head -n 9 $file > $to~; mv $to~ $to; sleep 3; cat $file > $to~; mv $to~ $to",
    "sed-i": "sed 's/^Line/Lime/' $file > $to; sleep 2; sed -i 's/^Lime/Line/' $to",
    # Out of archives.
    "tar": "tar -c -C $(dirname $file) $name.md | tar -x -C $inbox",
    "tar-slowly": "tar -c -C $(dirname $file) $name.md | { head -c 5000; sleep 7; cat; } | tar -x -C $inbox",
    "unzip": "cd $(dirname $file) && python3 -m zipfile -c $name.zip $name.md && unzip -q $name.zip -d $inbox",
    "git": """git init -q $repo && cp $file $repo && cd $repo && git add . &&
        git -c user.name=x -c user.email=x@x commit -qm x && git --work-tree=$inbox checkout HEAD -- $name.md""",
    "git-archive": """git init -q $repo && cp $file $repo && cd $repo && git add . &&
        git -c user.name=x -c user.email=x@x commit -qm x && git archive HEAD $name.md | tar -x -C $inbox""",
    # Sync tools.
    "rsync": "rsync $file $inbox/",
    "rsync-a": "rsync -a $file $inbox/",
    "rsync-slowly": "rsync -a --bwlimit=200 $file $inbox/",
    "rsync-inplace-slowly": "rsync -a --inplace --bwlimit=200 $file $inbox/",
    "rsync-delay-updates": "rsync -a --delay-updates $file $inbox/",
    "rclone": "rclone copy $file $inbox/",
    "rclone-slowly": "rclone copy --bwlimit 200k $file $inbox/",
    "rclone-move": "rclone move $file $inbox/",
}


def text_of(name: str) -> str:
    # What is slow as a matter of bandwidth writes in pieces of some size.
    lines = 18_000 if "bwlimit" in WAYS.get(name, "") else 400
    return f"Work on {name}.\n" + "".join(f"Line {number} of a text of some length.\n" for number in range(lines))


def programs(way: str) -> list[str]:
    return [program for program in ("rsync", "rclone", "unzip", "git") if f"{program} " in WAYS[way]]


@pytest.fixture(scope="module")
def elsewhere(home: Path) -> Iterator[Path]:
    """A folder on another filesystem than the inbox: in memory."""
    path = Path(tempfile.mkdtemp(dir="/dev/shm"))
    assert path.stat().st_dev != home.stat().st_dev
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def household(inbox: World, elsewhere: Path) -> Iterator[Mapping[str, Future[int]]]:
    """Everybody writes into the inbox: way → the exit code that it will have."""
    with ThreadPoolExecutor(len(WAYS)) as pool:
        yield {way: pool.submit(write, inbox, way, elsewhere) for way in WAYS}


def write(world: World, way: str, elsewhere: Path) -> int:
    """Bring a file into the inbox. It was last changed long ago."""
    outside = world.base / f"outside-{way}"
    outside.mkdir()
    file = outside / f"{way}.md"
    file.write_text(text_of(way))
    subprocess.run(["touch", "-d", "2020-02-02", file], check=True)
    return run(world, WAYS[way], file=file, name=way, elsewhere=elsewhere, repo=outside / "repo")


def run(world: World, script: str, **values: Path | str) -> int:
    values |= {"inbox": world.root, "to": world.root / f"{values['name']}.md"}
    environment = world.environment | {name: str(value) for name, value in values.items()}
    with (world.base / f"outside-{values['name']}.log").open("ab") as log:
        return subprocess.run(["bash", "-c", script], env=environment, stdout=log, stderr=log, check=False).returncode


@pytest.mark.parametrize("way", WAYS)
def test_it_is_taken_once_and_whole(inbox: World, household: Mapping[str, Future[int]], way: str) -> None:
    needs(*programs(way))
    assert household[way].result(60) == 0, (inbox.base / f"outside-{way}.log").read_text()
    assert_taken_once_and_whole(inbox, way, text_of(way))


def test_copies_that_are_brought_again_when_they_have_been_taken_are_set_aside_and_not_run_again(inbox: World) -> None:
    """As cron does every few minutes: to a program that copies, a file that was taken is one that is missing."""
    programs = {"again-with-rsync": "rsync -a", "again-with-rclone": "rclone copy", "again-with-cp": "cp -p"}
    needs("rsync", "rclone")
    for name in programs:
        (inbox.base / f"{name}.md").write_text(text_of(name))
    for _ in ("first", "again"):
        for name, program in programs.items():
            assert run(inbox, f"{program} $file $inbox/", file=inbox.base / f"{name}.md", name=name) == 0
        for name in programs:
            wait_until_done(inbox, name)
            wait_until(lambda name=name: not (inbox.root / f"{name}.md").exists(), "it was never taken")  # type: ignore[misc]
    for name in programs:
        second = inbox.wait_for(f"{name}-2", "failed")
        assert "is the very file that was taken before" in (second / "error.md").read_text()
        assert tasks_of(inbox, name) == [inbox.root / "done" / name, second]
        assert len(inbox.calls(f"Work on {name}.")) == 1
