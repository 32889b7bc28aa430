"""What a person needs, does and sees, whatever program the files come from."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from pathlib import Path

import pytest
from harness import STATES, World, wait_until

QUESTION = "Which colour?"


def needs(*programs: str) -> None:
    """Skip the test where a program is missing."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def status_page(world: World) -> str:
    """What stands in STATUS.md."""
    return (world.root / "STATUS.md").read_text()


def wait_until_status_says(world: World, *texts: str) -> None:
    """Wait until STATUS.md has a line that holds all these texts."""
    wait_until(
        lambda: any(all(text in line for text in texts) for line in _entries(status_page(world))),
        lambda: f"STATUS.md never said {texts}, but:\n{status_page(world)}",
    )


def _entries(page: str) -> list[str]:
    """One for each task: its line, with those that belong to it."""
    return page.split("\n- ")


def let_the_settle_time_pass(world: World) -> None:
    """Wait until a file that is written now has been taken, as one would be that nothing speaks against."""
    name = f"control-{time.monotonic_ns()}.md"
    path = world.drop(name, "Just a control.\n")
    wait_until(lambda: not path.exists(), lambda: f"{name} was never taken:\n{world.story(name)}", patience=60)


def asked(world: World, name: str, *later: str) -> Path:
    """A task that has asked something, and asks again as often as `later` says; return its folder."""
    questions = [[{"ask": {"text": text}}] for text in (QUESTION, *later)]
    world.teach(f"Work on {name}.", *questions, [{"say": "Done."}])
    world.move_in(f"{name}.md", f"Work on {name}.\n")
    folder = world.wait_for(name, "blocked")
    wait_until((folder / "question.md").exists, lambda: world.story(name))
    return folder


def wait_until_done(world: World, name: str) -> Path:
    """Wait as long as settle times and slow machines may need."""
    wait_until(lambda: world.where(name) == "done", lambda: f"{name} was never done:\n{world.story(name)}", patience=60)
    return world.root / "done" / name


def assert_taken_once_and_whole(world: World, name: str, text: str) -> None:
    """A task is done with exactly this text; no part of it was ever taken before, and there is no second task of it.

    The text must begin with `Work on NAME.`
    """
    folder = wait_until_done(world, name)
    let_what_follows_follow(world)
    [task_file] = folder.glob("task.*")
    assert task_file.read_text() == text
    assert not list(folder.glob("task-*")), "half of it had been taken before"
    assert tasks_of(world, name) == [folder]
    [call] = world.calls(f"Work on {name}.")
    assert text.strip() in call["prompt"]


def tasks_of(world: World, name: str) -> list[Path]:
    """The folders of all tasks that were made of files of this name: NAME, NAME-2, NAME-3 …"""
    numbered = re.compile(rf"{re.escape(name)}(-\d+)?")
    return [path for state in STATES for path in (world.root / state).iterdir() if numbered.fullmatch(path.name)]


def assert_answered_once_and_whole(world: World, name: str, text: str, file: str = "answer-1.md") -> None:
    """A task that asked once has got exactly this answer, once, and is done."""
    folder = wait_until_done(world, name)
    let_what_follows_follow(world)
    assert (folder / file).read_text() == text
    beside = {path.name for path in folder.glob("answer*")} - {"answer.md~"}  # an editor's backup
    assert beside == {file}
    first, second = world.calls(f"Work on {name}.")
    assert (first["resume"], second["resume"]) == (False, True)
    assert text.strip().removesuffix("\n.") in second["prompt"]


def let_what_follows_follow(world: World) -> None:
    """Wait until the daemon has looked at all that lies there now: it has taken what was moved in later."""
    name = f"probe-{time.monotonic_ns()}.md"
    world.move_in(name, "Just a probe.\n")
    wait_until(lambda: not (world.root / name).exists(), lambda: world.story(name))


def assert_kept_beside_its_task_and_told(world: World, name: str, text: str) -> None:
    """What came too late for a task that is done lies in its folder, the log names it, and it is done as before."""
    folder = world.root / "done" / name
    wait_until(lambda: files_that_hold(folder, text), lambda: world.story(name))
    let_the_settle_time_pass(world)
    [file] = files_that_hold(folder, text)
    assert any(f"{name}: " in line and file.name in line for line in world.daemon.log.splitlines())
    assert tasks_of(world, name) == [folder], "it has become a second task"
    assert len(world.calls(f"Work on {name}.")) == 2


def files_that_hold(root: Path, text: str) -> list[Path]:
    """Where under the folder a text is to be found by a person, who does not look into hidden files."""
    found = []
    for path in root.rglob("*"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if path.is_file() and not path.name.startswith(".") and text in path.read_text():
                found.append(path)
    return found
