"""Real editors in a real terminal: what is typed is taken once, and whole, and not while it is still being typed."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest
from editors import EDITORS, Editor, Window
from harness import World, wait_until
from user import (
    asked,
    assert_answered_once_and_whole,
    assert_kept_beside_its_task_and_told,
    assert_taken_once_and_whole,
    files_that_hold,
    let_the_settle_time_pass,
    status_page,
    tasks_of,
    wait_until_done,
    wait_until_status_says,
)

pytestmark = pytest.mark.tools("tmux", "vim", "nano", "emacs")

SETTLE = 3.0
"""Seconds. Longer than anybody here takes from one save to the next."""

ONE_OF_EACH = tuple(one for one in EDITORS if one.name in ("vim", "nano, `set locking` (Debian)", "emacs"))
of_each_kind = pytest.mark.parametrize("editor", ONE_OF_EACH, ids=lambda one: one.name)
of_those_that_lock = pytest.mark.parametrize("editor", ONE_OF_EACH[:2], ids=lambda one: one.name)


def name_for(test: str, editor: Editor) -> str:
    return f"{test}-{EDITORS.index(editor)}"


def saved_answer(world: World, name: str, editor: Editor, *, inside: bool = False) -> Window:
    """An answer that says itself that it is finished, and is still open in the editor after it has been taken."""
    folder = asked(world, name)
    path = folder / "answer.md"
    window = editor.open(world, path, cwd=folder if inside else None)
    window.write("Red.\n.\n")
    window.save()  # it may be taken before anybody has seen it lie there
    wait_until_done(world, name)
    return window


@pytest.mark.parametrize("editor", EDITORS, ids=lambda one: one.name)
def test_a_task_that_is_saved_again_and_again_while_it_is_typed_is_taken_once_and_whole(
    inbox: World, editor: Editor
) -> None:
    name = name_for("typed", editor)
    window = editor.open(inbox, path := inbox.root / f"{name}.md")
    for line in (f"Work on {name}.", "First this,", "then that,", "and then no more."):
        window.write(f"{line}\n")
        window.save(line)
    text = path.read_text()
    window.quit()
    assert_taken_once_and_whole(inbox, name, text)


@pytest.mark.parametrize("editor", EDITORS, ids=lambda one: one.name)
def test_an_answer_is_taken_once_and_whole_and_not_while_the_editor_shows_that_it_is_open(
    inbox: World, editor: Editor
) -> None:
    name = name_for("answered", editor)
    folder = asked(inbox, name)
    (path := folder / "answer.md").touch()
    window = editor.open(inbox, path)
    window.write("Red, I think.\n")
    window.save("Red, I think.")
    if editor.holds:
        let_the_settle_time_pass(inbox)
        assert inbox.where(name) == "blocked", "taken while it was open"
        wait_until_status_says(inbox, name, editor.program, "still has it open")
    window.write("No: dark red.\n")
    if editor.program == "emacs":
        let_the_settle_time_pass(inbox)
        assert inbox.where(name) == "blocked", "taken while there was something to save"
        wait_until_status_says(inbox, name, "emacs still has it open")
    saved_at = time.monotonic()
    window.save("No: dark red.")
    text = path.read_text()
    window.quit()
    wait_until(lambda: inbox.where(name) != "blocked", lambda: inbox.story(name))
    if not editor.holds:
        assert time.monotonic() - saved_at >= SETTLE - 0.1, "it was not left alone for long enough"
    assert_answered_once_and_whole(inbox, name, text)


@of_each_kind
def test_an_answer_that_ends_with_a_lone_dot_is_taken_though_the_editor_still_has_it_open(
    inbox: World, editor: Editor
) -> None:
    name = name_for("dotted", editor)
    window = saved_answer(inbox, name, editor)
    assert not window.terminal.ended
    [text] = {path.read_text() for path in inbox.path(name).glob("answer-1.md")}
    window.quit()
    assert_answered_once_and_whole(inbox, name, text)


@of_those_that_lock
def test_an_answer_goes_on_as_soon_as_the_editor_is_closed_if_nothing_has_changed_for_long(
    inbox: World, editor: Editor
) -> None:
    name = name_for("closed", editor)
    folder = asked(inbox, name)
    window = editor.open(inbox, folder / "answer.md")
    window.write("Red.\n")
    window.save("Red.")
    text = (folder / "answer.md").read_text()
    let_the_settle_time_pass(inbox)
    window.quit()
    closed_at = time.monotonic()
    wait_until(lambda: inbox.where(name) != "blocked", lambda: inbox.story(name))
    assert time.monotonic() - closed_at < SETTLE
    assert_answered_once_and_whole(inbox, name, text)


# ------------------------------------------------------------------------------ saved when it had been taken already


@of_each_kind
def test_what_is_typed_but_never_saved_changes_nothing(inbox: World, editor: Editor) -> None:
    name = name_for("unsaved", editor)
    window = saved_answer(inbox, name, editor)
    window.write("Something else.\n")
    window.terminal.close()
    let_the_settle_time_pass(inbox)
    assert len(inbox.calls(f"Work on {name}.")) == 2
    assert inbox.where(name) == "done"


@of_those_that_lock
def test_a_save_when_the_task_has_gone_on_is_refused_by_the_editor_which_says_so(inbox: World, editor: Editor) -> None:
    name = name_for("refused", editor)
    window = saved_answer(inbox, name, editor)
    window.write("And more.\n")
    window.save()
    window.terminal.wait_for("E212", "Error writing")
    assert not (inbox.root / "blocked" / name).exists()


@of_those_that_lock
def test_a_save_into_the_folder_of_a_task_that_is_done_is_kept_there_and_changes_nothing(
    inbox: World, editor: Editor
) -> None:
    """Opened as `cd blocked/NAME; vim answer.md`: the editor goes along with the folder."""
    name = name_for("late", editor)
    window = saved_answer(inbox, name, editor, inside=True)
    window.write("And more.\n")
    window.save()
    folder = inbox.root / "done" / name
    wait_until(lambda: files_that_hold(folder, "And more."), lambda: window.terminal.screen)
    window.quit()
    let_the_settle_time_pass(inbox)
    assert files_that_hold(folder, "And more.") == [folder / "answer.md"]
    assert tasks_of(inbox, name) == [folder]
    assert len(inbox.calls(f"Work on {name}.")) == 2


def test_a_save_that_makes_the_folder_again_is_kept_beside_the_task_and_told(inbox: World) -> None:
    """Emacs offers to make a directory that is gone."""
    name = "emacs-again"
    window = saved_answer(inbox, name, ONE_OF_EACH[2])
    window.write("And more.\n")
    window.save()
    window.terminal.wait_for("does not exist; create?")
    window.terminal.press("y")
    wait_until(lambda: files_that_hold(inbox.root, "And more."), lambda: window.terminal.screen)
    window.quit()
    assert_kept_beside_its_task_and_told(inbox, name, "And more.")


@of_each_kind
def test_a_task_that_is_saved_once_more_while_it_is_worked_on_is_an_edit_and_no_second_task(
    inbox: World, editor: Editor
) -> None:
    name = name_for("edited", editor)
    go_on = inbox.base / f"go-on-{name}"
    inbox.teach(f"Work on {name}.", [{"wait_for": str(go_on)}, {"say": "Done."}], [{"say": "Changed."}])
    window = editor.open(inbox, path := inbox.root / f"{name}.md")
    window.write(f"Work on {name}.\n.\n")
    window.save()
    inbox.wait_for(name, "running")
    window.write("And paint it red.\n")
    window.save()
    wait_until(path.exists, lambda: window.terminal.screen)
    window.quit()
    wait_until(lambda: not path.exists(), lambda: inbox.story(name), patience=30)
    go_on.touch()
    folder = wait_until_done(inbox, name)
    assert "And paint it red." in (folder / "task.md").read_text()
    assert [call["resume"] for call in inbox.calls(f"Work on {name}.")] == [False, True]
    assert tasks_of(inbox, name) == [folder]


# ------------------------------------------------------------------------------------------- editors that were killed


@of_each_kind
def test_the_lock_of_an_editor_that_was_killed_does_not_hold_up_the_answer_for_ever(
    inbox: World, editor: Editor
) -> None:
    name = name_for("killed", editor)
    folder = asked(inbox, name)
    window = editor.open(inbox, folder / "answer.md")
    window.write("Red.\n")
    window.save("Red.")
    window.write("Never saved.\n")
    wait_until(lambda: _locks(folder), "there is no lock")
    text = (folder / "answer.md").read_text()
    os.kill(window.terminal.pid, signal.SIGKILL)
    window.terminal.wait_until_ended()
    assert _locks(folder), "it took its lock along"
    wait_until(lambda: inbox.where(name) != "blocked", lambda: status_page(inbox), patience=SETTLE + 5)
    assert_answered_once_and_whole(inbox, name, text)


@of_those_that_lock
def test_an_editor_that_is_closed_when_the_task_has_gone_on_does_not_hold_up_the_next_answer(
    inbox: World, editor: Editor
) -> None:
    """It cannot find its lock any more, which has gone along with the folder."""
    name = name_for("left-behind", editor)
    go_on = inbox.base / f"go-on-{name}"
    folder = asked(inbox, name)
    inbox.teach(
        f"Work on {name}.",
        [],
        [{"wait_for": str(go_on)}, {"ask": {"text": "And which size?"}}],
        [{"say": "Done."}],
    )
    window = editor.open(inbox, folder / "answer.md")
    window.write("Red.\n.\n")
    window.save()
    inbox.wait_for(name, "running")
    window.quit()
    go_on.touch()
    inbox.wait_for(name, "blocked")
    wait_until((folder / "question.md").exists, lambda: inbox.story(name))
    (folder / "answer.md").write_text("Large.\n")
    wait_until(lambda: inbox.where(name) != "blocked", lambda: status_page(inbox), patience=SETTLE + 5)
    assert (wait_until_done(inbox, name) / "answer-2.md").read_text() == "Large.\n"


def _locks(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name in (".answer.md.swp", ".#answer.md")]


def test_the_table_in_the_docs_says_of_each_of_these_editors_what_has_been_tested_here() -> None:
    page = (Path(__file__).parents[2] / "docs/answering.md").read_text()
    rows = dict(
        re.findall(r"^\| ([^|]+) \| ([^|]+) \|", page.partition("## Which editor habits work")[2], re.MULTILINE)
    )
    for editor in EDITORS:
        when = rows[editor.name]
        assert ("when you have closed it" in when) == editor.holds, editor.name
