"""The commands, as a person types them: what they say, what they do to the folder, and their exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from harness import World, wait_until

from dropbox_runner.__main__ import main
from dropbox_runner.core.record import Dropped, Record
from dropbox_runner.core.run import Run, Why
from dropbox_runner.core.states import Verdict

pytestmark = pytest.mark.slow


class Said(NamedTuple):
    """What a command has said."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def command(world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Call the program's own entry point: what `python -m dropbox_runner` calls, without the time Python needs."""
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "COLUMNS"):
        monkeypatch.setenv(name, world.environment[name])
    monkeypatch.delenv("DROPBOX_RUNNER_QUESTION_FILE", raising=False)
    monkeypatch.chdir(world.home)

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["dropbox-runner", *arguments])
        capfd.readouterr()
        try:
            code = main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capfd.readouterr()
        assert "Traceback" not in said.err, f"it broke down: {said.err.splitlines()[-2]}"
        return Said(code, said.out, said.err)

    return call


def one_line(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n")


def put(world: World, state: str, name: str, **more: object) -> Path:
    """A task as a daemon would have left it."""
    folder = world.root / state / name
    folder.mkdir()
    record = Record(
        id="i", name=name, dropped=Dropped(file=f"{name}.yaml"), taken_at="2026-01-02T10:00:00+00:00", session_id="s"
    )
    run = Run(number=1, id="r", why=Why.START, resumed=False, started_at=record.taken_at, steady=1.0, boot="b")
    record = record.but(runs=(run.but(verdict=Verdict.ASKED, cost_usd=0.5, turns=1, seconds=2.0),))
    (folder / "record.json").write_bytes(record.but(**more).to_json())
    (folder / "task.yaml").write_text("instructions: x\n")
    if state == "blocked":
        (folder / "question.json").write_text('{"text": "Which one?", "options": ["red", "blue"]}')
    return folder


# ---------------------------------------------------------------------------------------------- init


def test_init_makes_everything_and_says_what_to_do_next(command: Command, world: World) -> None:
    world.config.unlink()
    new = world.base / "new box"
    said = command("init", str(new))
    assert said.code == 0
    assert {path.name for path in new.iterdir()} == {
        *("pending", "running", "blocked", "done", "failed", ".dropbox-runner", "hello.draft.yaml"),
    }
    assert json.loads((new / ".dropbox-runner" / "task.schema.json").read_bytes())["title"] == "Task"
    assert json.loads((new / ".dropbox-runner" / "owner.json").read_bytes())["path"] == str(new)
    for step in ("dropbox-runner run", "mv ", "dropbox-runner status"):
        assert step in said.out
    assert str(new) in world.config.read_text()
    assert command("validate", str(new / "hello.draft.yaml")).code == 0, "our own sample is no task"


def test_the_steps_that_init_prints_can_be_pasted_as_they_are(command: Command, world: World) -> None:
    new = world.base / "new box"
    said = command("init", str(new))
    [step] = [line[line.index(" mv ") :] for line in said.out.splitlines() if " mv " in line]
    pasted = subprocess.run(["/bin/sh", "-c", step], capture_output=True, text=True, check=False)
    assert pasted.returncode == 0, pasted.stderr
    assert (new / "hello.yaml").exists()


def test_init_again_touches_nothing(command: Command, world: World) -> None:
    (world.root / "hello.draft.yaml").write_text("mine\n")
    put(world, "blocked", "x")
    assert command("init", str(world.root)).code == 0
    assert (world.root / "hello.draft.yaml").read_text() == "mine\n"
    assert world.where("x") == "blocked"


def test_init_where_a_file_lies_is_one_line(command: Command, world: World) -> None:
    file = world.base / "file"
    file.write_text("mine\n")
    said = command("init", str(file))
    assert said.code in (1, 2, 78)
    assert one_line(said.err)
    assert file.read_text() == "mine\n"


# ---------------------------------------------------------------------------------------------- which folder


def test_the_folder_is_the_named_one_or_the_one_around_or_that_of_the_settings(
    command: Command, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(world.root) in command("status").out
    other = world.base / "other"
    command("init", str(other))
    monkeypatch.chdir(other / "done")
    assert str(other) in command("status").out
    assert str(world.root) in command("status", str(world.root)).out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("status", "/no/such/folder"), 78, "there is no folder /no/such/folder. Make it with: dropbox-runner init"),
        (("status", "/usr"), 78, "/usr is not an inbox yet"),
        (("run", "/no/such/folder", "--allow-root"), 78, "there is no folder"),
        (("run", "--allow-root", "--config", "/no/such.yaml"), 78, "there is no settings file /no/such.yaml"),
        (("cancel", "nobody"), 1, "there is no task nobody"),
        (("cancel", ".."), 1, "there is no task .."),
        (("answer", "nobody", "yes"), 1, "there is no task nobody"),
        (("retry", "asks"), 1, "asks is in blocked/; this needs it in failed/ or done/."),
        (("answer", "over", "yes"), 1, "over is in done/; this needs it in blocked/."),
        (("answer", "asks", "  "), 2, "the answer is empty"),
        (("cancel", "over"), 1, "over is in done/"),
        (("ask", "why?"), 2, "`ask` works only inside a run"),
        (("validate", "/no/such.yaml"), 1, "/no/such.yaml: there is no such file"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_one_line_that_says_what_to_do(
    command: Command, world: World, arguments: tuple[str, ...], code: int, says: str
) -> None:
    put(world, "blocked", "asks")
    put(world, "done", "over")
    said = command(*arguments)
    assert says in said.err
    assert said.code == code
    assert one_line(said.err)
    assert said.out == ""


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--settle", "soon"), ("--settle", "-1"), ("--settle", "nan"), ("--poll", "inf"), ("--poll", "0")),
        *(("--max-parallel", "0"), ("--max-parallel", "1000")),
    ],
)
def test_an_option_with_a_value_that_nobody_can_mean_is_one_line_that_names_it(
    command: Command, option: str, value: str
) -> None:
    said = command("run", "--allow-root", f"{option}={value}")
    assert said.code in (2, 78)
    assert one_line(said.err), said.err
    assert option in said.err
    assert "config.yaml" not in said.err


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("status", "--nonsense"), ("run", "--max-parallel", "x"), ("init",)]
)
def test_a_command_line_that_makes_no_sense_is_2(command: Command, arguments: tuple[str, ...]) -> None:
    said = command(*arguments)
    assert said.code == 2
    assert said.err


def test_help_and_version(command: Command) -> None:
    assert "Drop a task file into a folder" in command("--help").out
    assert command("--version").out.strip()
    for name in ("init", "run", "status", "add", "answer", "cancel", "retry", "pause", "resume", "validate", "ask"):
        assert name in command("--help").out
    assert "--take-over" in command("run", "--help").out


def test_without_any_folder_it_says_so(command: Command, world: World) -> None:
    world.config.unlink()
    said = command("status")
    assert said.code == 2
    assert "which folder?" in said.err


# ---------------------------------------------------------------------------------------------- add


def test_add_drops_files_and_texts_complete(command: Command, world: World) -> None:
    file = world.base / "fix login.yaml"
    file.write_text("instructions: fix it\n# end\n")
    assert command("add", str(file)).out == "added fix login.yaml\n"
    assert (world.root / "fix login.yaml").read_bytes() == file.read_bytes()
    assert file.exists()
    assert command("add", "Tidy up", "the notes!").out == "added tidy-up-the-notes.txt\n"
    assert (world.root / "tidy-up-the-notes.txt").read_text() == "Tidy up the notes!\n"
    assert command("add", "--name", "chores", "Wash up.").code == 0
    assert (world.root / "chores.txt").read_text() == "Wash up.\n"
    assert list((world.root / ".dropbox-runner" / "tmp").iterdir()) == []


def test_add_replaces_nothing(command: Command, world: World) -> None:
    (world.root / "chores.txt").write_text("mine\n")
    said = command("add", "--name", "chores", "Wash up.")
    assert "added chores-2.txt" in said.out, "under the same name it would be a new text for that task"
    other = world.base / "chores.txt"
    other.write_text("Wash up.\n")
    said = command("add", str(other))
    assert said.code == 1
    assert "is there already" in said.err
    assert (world.root / "chores.txt").read_text() == "mine\n"
    assert list((world.root / ".dropbox-runner" / "tmp").iterdir()) == []


def test_add_refuses_what_would_be_rejected_with_the_same_words(command: Command, world: World) -> None:
    file = world.base / "bad.yaml"
    file.write_text("instructions: x\nmodle: opus\n")
    said = command("add", str(file))
    assert said.code == 1
    assert "bad.yaml:2:1" in said.err
    assert "did you mean `model`?" in said.err
    assert not (world.root / "bad.yaml").exists()
    assert command("add", "").code == 1


def test_add_of_a_misspelt_file_name_is_no_task(command: Command, world: World) -> None:
    said = command("add", "fix-logn.yaml")
    assert said.code != 0, "claude would be paid for working on a file name"
    assert "fix-logn.yaml" in said.err


@pytest.mark.parametrize("name", ["x/../../evil", "../evil", "a/b", "{base}/evil", ".hidden"])
def test_add_writes_into_the_inbox_and_nowhere_else(command: Command, world: World, name: str) -> None:
    before = set(world.base.iterdir())
    said = command("add", "--name", name.format(base=world.base), "Wash up.")
    assert set(world.base.iterdir()) == before
    assert said.code in (0, 1, 2)


def test_add_reads_a_text_from_stdin(world: World) -> None:
    done = world.run("add", text="Tidy up.\nAll of it.\n")
    assert done.returncode == 0, done.stderr
    assert (world.root / "tidy-up-all-of-it.txt").read_text() == "Tidy up.\nAll of it.\n"


# ---------------------------------------------------------------------------------------------- answer, cancel, retry


def test_answer_writes_the_file_that_a_person_would_write(command: Command, world: World) -> None:
    folder = put(world, "blocked", "asks")
    said = command("answer", "asks", "the", "red one")
    assert said == (0, "answered asks; it goes on by itself.\n", "")
    assert (folder / "answer.md").read_text() == "the red one\n.\n"
    again = command("answer", "asks", "blue")
    assert again.code == 1
    assert "answer.md is there already" in again.err
    assert (folder / "answer.md").read_text() == "the red one\n.\n"


def test_a_task_may_be_named_as_the_shell_completes_it(command: Command, world: World) -> None:
    folder = put(world, "blocked", "asks")
    assert command("answer", "blocked/asks/", "yes").code == 0
    assert (folder / "answer.md").exists()


def test_cancel_and_retry_do_what_a_person_would_do(command: Command, world: World) -> None:
    folder = put(world, "blocked", "asks")
    assert command("cancel", "asks").code == 0
    assert (folder / "cancel").exists()
    put(world, "failed", "broken")
    said = command("retry", "broken")
    assert said == (0, "handed back broken.\n", "")
    assert world.where("broken") == "pending"


def test_pause_and_resume(command: Command, world: World) -> None:
    assert command("pause").code == 0
    assert (world.root / "PAUSE").exists()
    (world.root / "PAUSE.md").write_text("by hand")
    shown = command("status").out
    assert "paused: the file PAUSE" in shown, "also while no daemon runs"
    assert "dropbox-runner resume" in shown
    assert command("resume").out == "resumed.\n"
    assert not (world.root / "PAUSE").exists()
    assert not (world.root / "PAUSE.md").exists()
    assert command("resume").out == "it was not paused.\n"


# ---------------------------------------------------------------------------------------------- validate, schema, ask


def test_validate_says_for_each_file_whether_it_is_fine(command: Command, world: World) -> None:
    good, bad = world.base / "good.md", world.base / "bad.yaml"
    good.write_text("# Work\n")
    bad.write_text("promt: x\n")
    said = command("validate", str(good), str(bad), str(world.root))
    assert said.code == 1
    assert said.out == f"{good}: fine\n"
    assert f"{bad}:1:1" in said.err
    assert "did you mean `prompt`?" in said.err
    assert str(world.root) in said.err
    assert command("validate", str(good)).code == 0


def test_schema_is_a_json_schema_that_knows_the_fields(command: Command) -> None:
    said = command("schema")
    schema: dict[str, Any] = json.loads(said.out)
    assert said.code == 0
    assert {"instructions", "prompt", "model", "working_dir", "timeout"} <= set(schema["properties"])


def test_ask_inside_a_run_gathers_questions(command: Command, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    question = world.base / "question.json"
    monkeypatch.setenv("DROPBOX_RUNNER_QUESTION_FILE", str(question))
    assert "End your turn now" in command("ask", "Which", "one?", "--option", "red", "-o", "blue").out
    assert command("ask", "And how many?").code == 0
    asked = json.loads(question.read_bytes())["questions"]
    assert asked == [
        {"text": "Which one?", "options": ["red", "blue"]},
        {"text": "And how many?", "options": []},
    ]
    said = command("ask", " ")
    assert said.code == 2
    assert "what is the question?" in said.err


def test_an_agent_whose_question_cannot_be_written_is_told_not_to_end_its_turn(
    command: Command, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.base / "file").touch()
    (world.base / "work" / "question.json").mkdir(parents=True)
    for folder, why in (("not mounted", "No such file"), ("file", "Not a directory"), ("work", "is not a plain file")):
        monkeypatch.setenv("DROPBOX_RUNNER_QUESTION_FILE", str(world.base / folder / "question.json"))
        said = command("ask", "Which one?")
        assert said.code == 1
        assert "your question has NOT been left (" in said.err
        assert why in said.err
        assert "do not end your turn before that" in said.err


@pytest.mark.parametrize(
    "text", ["- one\n- or two?", "-o or -x?", "--help me to decide", "-1", "---", "what is --help?"]
)
def test_a_text_may_begin_like_an_option(
    command: Command, world: World, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    question = world.base / "question.json"
    monkeypatch.setenv("DROPBOX_RUNNER_QUESTION_FILE", str(question))
    assert command("ask", text, "--option", "- this", "-o=that", "--option=-x y").code == 0
    [asked] = json.loads(question.read_bytes())["questions"]
    assert asked == {"text": text, "options": ["- this", "=that", "-x y"]}
    folder = put(world, "blocked", "asks")
    assert command("answer", "asks", text, "--folder", str(world.root)).code == 0
    assert (folder / "answer.md").read_text() == f"{text}\n.\n"


def test_a_slip_in_the_name_of_an_option_is_told_and_no_part_of_a_text(command: Command, world: World) -> None:
    folder = put(world, "blocked", "asks")
    said = command("answer", "asks", "yes", "--foldr", str(world.root))
    assert (said.code, "No such option: --foldr" in said.err) == (2, True)
    assert not (folder / "answer.md").exists()
    assert "--option" in command("ask", "--help").out
    assert command("answer", "asks", "--folder", str(world.root), "--", "--version").code == 0
    assert (folder / "answer.md").read_text() == "--version\n.\n"


# ---------------------------------------------------------------------------------------------- status


def test_status_without_a_daemon(command: Command, world: World) -> None:
    put(world, "blocked", "asks")
    put(world, "pending", "waits")
    (world.root / "new.yaml").write_text("instructions: x\n")
    said = command("status")
    assert said.code == 0
    for part in ("no daemon runs", "waits for you", "asks", "Which one?", "[1] red", "waits", "new.yaml"):
        assert part in said.out
    assert 'dropbox-runner answer asks "…"' in said.out
    data = json.loads(command("status", "--json").out)
    assert data["daemon_pid"] is None
    assert [row["name"] for row in data["asking"]] == ["asks"]
    assert data["asking"][0]["options"] == ["red", "blue"]
    assert [row["name"] for row in data["inbox"]] == ["new.yaml"]


def test_status_steers_no_terminal(command: Command, world: World) -> None:
    folder = put(world, "blocked", "asks")
    (folder / "question.json").write_text(json.dumps({"text": "a \x1b[2J b\n12:00 fake", "options": ["\x07"]}))
    (world.root / "odd\x1b[31m\nname.yaml").touch()
    out = command("status").out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert not [line for line in out.splitlines() if line.startswith(("12:00", "name.yaml"))]


def test_status_with_a_daemon_says_what_is_waited_for(world: World) -> None:
    world.settings(poll="0.2s")
    world.play([{"sleep": 60}])
    daemon = world.start("--poll", "0.1")
    world.move_in("x.yaml")
    world.wait_for("x", "running")
    world.agent_pid("x")
    world.move_in("y.yaml")
    world.wait_for("y", "pending")
    (world.root / ".z.yaml.swp").touch()
    world.drop("z.yaml", "instructions: z\n")

    def status() -> dict[str, Any]:
        data: dict[str, Any] = json.loads(world.run("status", "--json").stdout)
        return data if data["inbox"] and data["inbox"][0]["text"] and data["pending"] else {}

    data = wait_until(status, lambda: world.story("x"))
    assert data["daemon_pid"] == daemon.pid
    assert [row["name"] for row in data["running"]] == ["x"]
    assert "free place" in data["pending"][0]["text"]
    assert "still has it open" in data["inbox"][0]["text"]


def test_ctrl_c_is_130_and_says_nothing(world: World) -> None:
    watching = subprocess.Popen(
        [sys.executable, "-m", "dropbox_runner", "status", "--watch"],
        env=world.environment | {"PYTHONUNBUFFERED": "1"},
        cwd=world.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert watching.stdout is not None
    assert watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=10)
    assert watching.returncode == 130
    assert b"Traceback" not in errors


def test_a_reader_that_goes_away_is_no_bug(world: World) -> None:
    for number in range(200):
        put(world, "pending", f"task-{number}")
    piped = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m dropbox_runner status | head -1"],
        env=world.environment,
        cwd=world.home,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert str(world.root) in piped.stdout
    assert piped.stderr == ""


def test_asking_for_the_status_never_keeps_a_daemon_from_starting(world: World) -> None:
    # `status` looks whether somebody holds the lock; looking must not look like holding.
    from dropbox_runner.daemon.lock import FolderLock, holder  # noqa: PLC0415 - only here

    path = world.base / "lock"
    path.touch()
    child = os.fork()
    if child == 0:
        while True:
            holder(path, world.root)
    try:
        for _ in range(300):
            FolderLock(path, world.root).release()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("name", [b"\xff.yaml", b"a\nb: fine.yaml", "\x1b[2J\u202eabc.yaml".encode()])
def test_names_of_any_kind_are_shown_without_harm(world: World, name: bytes) -> None:
    folder = world.base / "odd"
    folder.mkdir()
    for text in (b"instruction: x\n", None):
        path = os.fsencode(folder) + b"/" + name
        if text is None:
            os.remove(path)  # noqa: PTH107 - bytes
        else:
            with open(path, "wb") as file:  # noqa: PTH123 - bytes
                file.write(text)
        for command in ("validate", "add"):
            done = world.run(command, os.fsdecode(path), cwd=world.root)
            said = done.stdout + done.stderr
            assert done.returncode in (0, 1, 2), "no bug of ours"
            assert not [char for char in said if char != "\n" and not char.isprintable()], ascii(said)
            assert "b: fine.yaml: fine" not in said.splitlines()
