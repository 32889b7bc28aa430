"""Who may drop what, and who gets to see what: with the running program."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from harness import Daemon, World, wait_until

pytestmark = pytest.mark.slow

KEY = "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz"


def test_an_inbox_into_which_everybody_may_write_is_refused_with_the_command_that_mends_it(world: World) -> None:
    world.root.chmod(0o777)
    daemon = world.launch()
    assert daemon.wait() == 78
    assert f"Mend it with: chmod o-w {world.root}" in daemon.log
    doctor = world.run("doctor", str(world.root))
    assert f"chmod o-w {world.root}" in doctor.stdout


def test_a_task_that_everybody_may_write_is_not_run(world: World, daemon: Daemon) -> None:
    outside = world.base / "outside.txt"
    outside.write_text("work\n")
    outside.chmod(0o666)
    outside.rename(world.root / "x.txt")
    folder = world.wait_for("x", "failed")
    assert "everybody may write it (chmod o-w)" in (folder / "error.md").read_text()
    assert world.calls() == []


def test_an_answer_that_everybody_may_write_waits_and_says_why(world: World, daemon: Daemon) -> None:
    world.play([{"ask": {"text": "Well?"}}], [{"say": "Done."}])
    world.move_in("x.txt", "work\n")
    folder = world.wait_for("x", "blocked")
    answer = folder / "answer.md"
    outside = world.base / "answer.md"
    outside.write_text("yes\n")
    outside.chmod(0o666)
    outside.rename(answer)
    daemon.wait_for_log("x: answer.md: answer.md is not read: everybody may write it (chmod o-w)")
    answer.chmod(0o600)
    os.utime(answer)
    outside.write_text("yes\n")
    outside.rename(answer)
    world.wait_for("x", "done")


def test_a_key_in_a_question_is_shown_nowhere_but_in_claudes_own_words(world: World, daemon: Daemon) -> None:
    world.play([{"ask": {"text": f"Is {KEY} right?", "options": [f"{KEY} it is", "no"]}}])
    world.move_in("x.txt", "work\n")
    folder = world.wait_for_question("x")
    wait_until(lambda: "sk-ant" in (world.root / "STATUS.md").read_text(), "STATUS.md is not up to date")
    for shown in (
        daemon.log,
        (world.root / "STATUS.md").read_text(),
        (folder / "question.md").read_text(),
        world.run("status", str(world.root)).stdout,
        world.run("status", "--json", str(world.root)).stdout,
        world.run("show", "--folder", str(world.root), "x").stdout,
    ):
        assert KEY not in shown
    assert KEY in (folder / "question.json").read_text(), "what claude said is kept as it is"


def test_nobody_else_can_read_what_a_task_is_about_whatever_the_umask(world: World) -> None:
    world.play([{"ask": {"text": "Well?"}}], [{"say": "Done."}])
    world.start(prefix=("sh", "-c", 'umask 000; exec "$@"', "sh"))
    world.move_in("x.txt", "work\n")
    world.wait_for("x", "blocked")
    world.answer("x", "yes\n")
    folder = world.wait_for("x", "done")

    def open_to_others(path: Path) -> bool:
        return bool(path.lstat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))

    assert not open_to_others(folder)
    ours = [path for path in folder.iterdir() if path.name not in ("task.txt", "answer-1.md")]
    assert [path.name for path in ours if open_to_others(path)] == []
    assert not open_to_others(world.root / "STATUS.md")
