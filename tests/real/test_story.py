"""The whole story with the real claude, as a person sees it who knows nothing but the folder."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from .real_inbox import Inbox, asks, lines, read_json, runs, says, upon, waits_for, write_in_place

pytestmark = pytest.mark.real

TASK = "instructions: |\n  Set up storage for the shop.\n"
ASKED_IN_VAIN = says("I could not ask: {{tool_result}}")
"""What the model says when it was not stopped by its question; the failing test then shows why."""


def move_in(inbox: Inbox, folder: Path, text: str) -> None:
    inbox.move_in(folder / "answer.md", text)


def write_with_an_explicit_end(_: Inbox, folder: Path, text: str) -> None:
    write_in_place(folder / "answer.md", f"{text}\n.\n")


# ---------------------------------------------------------------------------------------------- questions and answers


@pytest.mark.parametrize(
    ("settle", "task", "give"),
    [
        pytest.param("0.3", TASK, move_in, id="moved in"),
        # Ten minutes: only the explicit end can be what makes it go on.
        pytest.param("600", f"{TASK}done: true\n", write_with_an_explicit_end, id="written in place with a last dot"),
    ],
)
def test_a_task_asks_twice_goes_on_with_each_answer_in_its_session_and_is_done(
    inbox: Inbox, tmp_path: Path, settle: str, task: str, give: Callable[[Inbox, Path, str], None]
) -> None:
    gate = tmp_path / "gate"
    inbox.api.plays(
        upon(
            "Set up storage",
            {**waits_for(gate), "delay": 0.5},
            asks("Which database?", "postgres", "sqlite"),
            says("…"),
        ),
        upon("postgres, because we know it", runs("echo postgres > choice.txt"), asks("Which port?"), says("…")),
        upon("5433", says("Storage is **ready** on port 5433.")),
        upon("Say hello", says("Hello.")),
    )
    inbox.start(settle=settle)
    inbox.drop("shop.yaml", task)

    running = inbox.arrives("shop", "running")
    inbox.claude_at_work(gate)
    stream = lines(running / "run-1.jsonl")
    assert (stream[0]["type"], stream[0]["subtype"]) == ("system", "init")
    assert "result" not in {line["type"] for line in stream}
    gate.touch()

    blocked = inbox.asked("shop", 1)
    assert not running.exists()
    question = read_json(blocked / "question.json")
    assert (question["text"], question["options"]) == ("Which database?", ["postgres", "sqlite"])
    for_people = (blocked / "question.md").read_text()
    assert "> Which database?" in for_people
    assert "1. postgres\n2. sqlite" in for_people
    assert "answer.md" in for_people
    give(inbox, blocked, "postgres, because we know it")

    inbox.asked("shop", 2)
    assert read_json(blocked / "question.json")["text"] == "Which port?"
    assert "Which database?" not in (blocked / "question.md").read_text()
    assert read_json(blocked / "question-1.json")["text"] == "Which database?"
    assert (blocked / "answer-1.md").read_text().startswith("postgres, because we know it")
    # The first answer does not answer the second question: while another task comes and goes, this one waits.
    inbox.drop("hello.yaml", "instructions: Say hello\ndone: true\n")
    inbox.done("hello")
    assert blocked.is_dir()
    assert not (blocked / "answer.md").exists()
    give(inbox, blocked, "5433")

    result = inbox.done("shop")
    done = inbox.root / "done" / "shop"
    asked = [one for one in inbox.api.requests if "Set up storage" in one["prompts"][0]]
    assert len({one["session"] for one in asked}) == 1
    first, second, third = asked[-1]["prompts"]
    assert first == "# Task\n\nSet up storage for the shop.\n"
    assert "> Which database?" in second
    assert "postgres, because we know it" in second
    assert "> Which port?" in third
    assert "5433" in third
    assert "Which database?" not in third
    assert asked[-1]["roles"].count("assistant") == 6

    assert result["verdict"] == "succeeded"
    assert result["result"] == "Storage is **ready** on port 5433."
    assert (result["runs"], result["questions"], result["turns"]) == (3, 2, 7)
    assert result["seconds"] > 0
    endings = [lines(done / f"run-{number}.jsonl")[-1] for number in (1, 2, 3)]
    assert [one["type"] for one in endings] == ["result"] * 3
    assert 0 < endings[0]["total_cost_usd"] < endings[1]["total_cost_usd"] < endings[2]["total_cost_usd"]
    assert result["cost_usd"] == pytest.approx(endings[2]["total_cost_usd"])
    assert result["cost_complete"] is True
    page = (done / "result.md").read_text()
    assert page.startswith("Storage is **ready** on port 5433.")
    for row in ("| Verdict | succeeded |", f"| Cost | ${result['cost_usd']:.4f} |", "| Turns | 7 |", "| Runs | 3 |"):
        assert row in page
    assert "| Duration | " in page
    assert (done / "answer-2.md").read_text().startswith("5433")
    assert read_json(done / "question-2.json")["text"] == "Which port?"
    assert (done / "task.yaml").read_text() == task
    assert (done / "work" / "choice.txt").read_text() == "postgres\n"
    assert not list(done.glob("question.*"))


def test_a_question_written_as_json_into_the_question_file_is_asked_the_same(inbox: Inbox) -> None:
    written = json.dumps({"text": "Which database?", "options": ["postgres", "sqlite"]})
    inbox.api.plays(
        upon("Set up storage", runs(f'echo {shlex.quote(written)} > "$DROPBOX_RUNNER_QUESTION_FILE"'), says("…")),
        upon("sqlite", says("Done with sqlite.")),
    )
    inbox.start()
    inbox.drop("shop.yaml", TASK)
    blocked = inbox.asked("shop")
    question = read_json(blocked / "question.json")
    assert (question["text"], question["options"]) == ("Which database?", ["postgres", "sqlite"])
    inbox.move_in(blocked / "answer.md", "2\n")
    assert inbox.done("shop")["result"] == "Done with sqlite."
    assert "> Which database?" in inbox.api.prompts[-1]
    assert len(inbox.api.sessions) == 1


def test_nonsense_in_the_question_file_is_asked_as_the_text_that_it_is(inbox: Inbox) -> None:
    inbox.api.plays(
        upon(
            "Set up storage",
            runs("""echo '{"text": Which <db>?, oops' > "$DROPBOX_RUNNER_QUESTION_FILE\""""),
            says("…"),
        ),
        upon("the blue one", says("Done with the blue one.")),
    )
    inbox.start()
    inbox.drop("shop.yaml", TASK)
    blocked = inbox.asked("shop")
    assert '> {"text": Which <db>?, oops' in (blocked / "question.md").read_text()
    inbox.move_in(blocked / "answer.md", "the blue one\n")
    assert inbox.done("shop")["result"] == "Done with the blue one."
    assert "Which <db>?, oops" in inbox.api.prompts[-1]


# ---------------------------------------------------------------------------------------------- the ask command


def asks_once(inbox: Inbox, task: str) -> None:
    """Play a task that asks through the command; fail when the question does not reach the person."""
    inbox.api.plays(
        upon("Set up storage", asks("Which database; a (b) or $HOME?", "postgres"), ASKED_IN_VAIN),
        upon("postgres", says("Done.")),
    )
    inbox.start()
    inbox.drop("shop.yaml", task)
    blocked = inbox.asked("shop")
    question = read_json(blocked / "question.json")
    assert question["text"].startswith("Which database; a (b) or ")
    assert question["options"] == ["postgres"]
    inbox.move_in(blocked / "answer.md", "1\n")
    assert inbox.done("shop")["result"] == "Done."


@pytest.mark.parametrize("mode", ["default", "acceptEdits", "plan", "dontAsk"])
def test_the_agent_can_ask_in_every_permission_mode(inbox: Inbox, mode: str) -> None:
    asks_once(inbox, f"{TASK}permission_mode: {mode}\n")


@pytest.mark.parametrize("mode", ["bypassPermissions", "dontAsk"])
def test_the_agent_can_ask_when_the_users_bashrc_sets_path_anew(inbox: Inbox, mode: str) -> None:
    (inbox.home / ".bashrc").write_text("export PATH=/usr/bin:/bin\n")
    asks_once(inbox, f"{TASK}permission_mode: {mode}\n")


@pytest.mark.parametrize("mode", ["bypassPermissions", "dontAsk"])
def test_the_agent_can_ask_when_the_users_bashrc_ends_the_shell(inbox: Inbox, mode: str) -> None:
    # claude can then take no snapshot of the shell, and runs each command in a login shell: /etc/profile sets PATH.
    (inbox.home / ".bashrc").write_text("exit 1\n")
    asks_once(inbox, f"{TASK}permission_mode: {mode}\n")


@pytest.mark.parametrize("mode", ["bypassPermissions", "dontAsk"])
def test_the_agent_can_ask_when_claudes_own_settings_set_path(inbox: Inbox, mode: str) -> None:
    (inbox.home / ".claude").mkdir()
    (inbox.home / ".claude" / "settings.json").write_text(json.dumps({"env": {"PATH": "/usr/bin:/bin"}}))
    asks_once(inbox, f"{TASK}permission_mode: {mode}\n")


def test_the_agent_can_ask_when_the_projects_settings_set_path(inbox: Inbox) -> None:
    project = inbox.home / "project"
    (project / ".claude").mkdir(parents=True)
    (project / ".claude" / "settings.json").write_text(json.dumps({"env": {"PATH": "/usr/bin:/bin"}}))
    inbox.settings(project_settings="use")
    asks_once(inbox, f"{TASK}working_dir: {project}\n")


# ---------------------------------------------------------------------------------------------- where claude works


def test_claude_works_in_the_directory_that_the_task_names(inbox: Inbox) -> None:
    project = inbox.home / "my project"
    project.mkdir()
    inbox.api.plays(upon("Make it", runs("touch made-here; pwd"), says("I was in {{tool_result}}")))
    inbox.start()
    inbox.drop("make.yaml", f'instructions: Make it\nworking_dir: "{project}"\n')
    assert inbox.done("make")["result"] == f"I was in {project}"
    assert (project / "made-here").exists()
    assert not (inbox.root / "done" / "make" / "work").exists()


def test_a_task_that_names_no_directory_works_in_its_own_and_takes_it_along(inbox: Inbox) -> None:
    inbox.api.plays(upon("Make it", runs("echo made > made-here; pwd"), says("I was in {{tool_result}}")))
    inbox.start()
    inbox.drop("make.yaml", "instructions: Make it\n")
    assert inbox.done("make")["result"] == f"I was in {inbox.root}/running/make/work"
    assert (inbox.root / "done" / "make" / "work" / "made-here").read_text() == "made\n"


def test_an_answered_task_goes_on_where_it_began_whatever_has_changed_since(inbox: Inbox, tmp_path: Path) -> None:
    began, another, link = (tmp_path / name for name in ("began here", "another place", "current"))
    for folder in (began, another):
        folder.mkdir()
    link.symlink_to(began)
    inbox.api.plays(
        upon("Set up storage", asks("Which database?"), says("…")),
        upon("sqlite it is", runs("pwd"), says("I went on in {{tool_result}}")),
    )
    inbox.environment["CLAUDE_CONFIG_DIR"] = str(tmp_path / "first config")
    inbox.start()
    inbox.drop("shop.yaml", f"instructions: Set up storage\nworking_dir: {link}\n")
    blocked = inbox.asked("shop")
    inbox.stop()
    inbox.environment["CLAUDE_CONFIG_DIR"] = str(tmp_path / "second config")
    link.unlink()
    link.symlink_to(another)
    inbox.start()
    inbox.move_in(blocked / "answer.md", "sqlite it is")

    assert inbox.done("shop")["result"] == f"I went on in {began}"
    assert len(inbox.api.sessions) == 1
    assert "assistant" in inbox.api.requests[-1]["roles"], "the conversation so far goes with it"
    assert not (tmp_path / "second config" / "projects").exists()


# ---------------------------------------------------------------------------------------------- when things go wrong


def test_an_unknown_model_fails_with_a_page_that_says_what_and_what_to_do(inbox: Inbox) -> None:
    inbox.api.plays(known_models=["claude-opus-5-5"])
    inbox.start()
    inbox.drop("shop.yaml", f"{TASK}model: claude-nope-9\n")
    result = inbox.failed("shop")
    assert result["verdict"] == "failed"
    page = (inbox.root / "failed" / "shop" / "error.md").read_text()
    assert "claude-nope-9" in page
    assert "selected model" in page
    assert "move this folder to `pending/`" in page


def test_claude_killed_by_somebody_is_resumed_in_its_session_by_itself(inbox: Inbox, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    inbox.api.plays(
        upon("Set up storage", waits_for(gate), says("(nobody opened the gate)")),
        upon("was cut off", says("Finished after all.")),
    )
    inbox.start()
    inbox.drop("shop.yaml", TASK)
    inbox.claude_at_work(gate).kill()
    result = inbox.done("shop")
    assert (result["verdict"], result["result"], result["runs"]) == ("succeeded", "Finished after all.", 2)
    assert result["cost_complete"] is False
    assert "| Cost | at least $" in (inbox.root / "done" / "shop" / "result.md").read_text()
    went_on_in_one_session(inbox)
    assert inbox.marked() == []


def test_claude_killed_before_its_first_answer_is_not_lost_either(inbox: Inbox) -> None:
    inbox.api.plays(upon("Set up storage", {"hang": True}))
    inbox.start()
    inbox.drop("shop.yaml", TASK)
    inbox.wait("the API to be asked", lambda: inbox.api.requests)
    inbox.api.plays(upon("", says("Finished after all.")))
    inbox.claude().kill()
    result = inbox.done("shop")
    # Two, or three where claude had not saved the session yet: then the second finds none, and the third starts it.
    assert result["result"] == "Finished after all."
    assert result["runs"] in (2, 3)
    assert "Set up storage" in inbox.api.requests[-1]["prompts"][0]


def went_on_in_one_session(inbox: Inbox) -> None:
    """Check that the first prompt was given once, and that what followed had the whole history."""
    assert len(inbox.api.sessions) == 1
    assert [prompt for prompt in inbox.api.prompts if prompt.startswith("# Task")] == inbox.api.prompts[:1]
    last = inbox.api.requests[-1]
    assert last["prompts"][0].startswith("# Task\n\nSet up storage")
    assert "assistant" in last["roles"]


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGKILL, id="killed"), pytest.param(signal.SIGUSR1, id="handing over")]
)
def test_claude_goes_on_without_its_daemon_and_the_next_one_takes_it_over(
    inbox: Inbox, tmp_path: Path, number: signal.Signals
) -> None:
    gate = tmp_path / "gate"
    inbox.api.plays(upon("Set up storage", waits_for(gate), says("Ready.")))
    inbox.start()
    inbox.drop("shop.yaml", TASK)
    before = inbox.claude_at_work(gate)
    inbox.stop(number)
    inbox.start()
    inbox.wait("the daemon to adopt the run", lambda: "adopted" in inbox.log)
    assert inbox.claude() == before
    gate.touch()
    result = inbox.done("shop")
    assert (result["verdict"], result["result"], result["runs"]) == ("succeeded", "Ready.", 1)
    assert inbox.api.prompts == ["# Task\n\nSet up storage for the shop.\n"]
    assert "cut off" not in inbox.log


def test_a_run_that_ended_while_no_daemon_lived_is_found_done_at_the_next_start(inbox: Inbox, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    inbox.api.plays(upon("Set up storage", waits_for(gate), says("Ready.")))
    inbox.start()
    inbox.drop("shop.yaml", TASK)
    inbox.claude_at_work(gate)
    inbox.stop(signal.SIGKILL)
    gate.touch()
    inbox.wait("claude to end by itself", lambda: not inbox.marked())
    inbox.start()
    result = inbox.done("shop")
    assert (result["verdict"], result["result"], result["runs"]) == ("succeeded", "Ready.", 1)
    assert inbox.api.prompts == ["# Task\n\nSet up storage for the shop.\n"]


def test_stopping_the_daemon_stops_claude_and_the_next_start_goes_on_in_the_session(
    inbox: Inbox, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    inbox.api.plays(
        upon("Set up storage", waits_for(gate), says("(nobody opened the gate)")),
        upon("was stopped", says("Finished after all.")),
    )
    inbox.start()
    inbox.drop("shop.yaml", TASK)
    inbox.claude_at_work(gate)
    assert inbox.stop(signal.SIGTERM) == 0
    assert inbox.marked() == []
    assert (inbox.root / "pending" / "shop" / "task.yaml").is_file()
    inbox.start()
    result = inbox.done("shop")
    assert (result["verdict"], result["result"], result["runs"]) == ("succeeded", "Finished after all.", 2)
    went_on_in_one_session(inbox)


def test_a_file_called_cancel_stops_a_running_task(inbox: Inbox, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    inbox.api.plays(upon("Set up storage", waits_for(gate), says("(nobody opened the gate)")))
    inbox.start()
    inbox.drop("shop.yaml", TASK)
    inbox.claude_at_work(gate)
    (inbox.root / "running" / "shop" / "cancel").touch()
    assert inbox.failed("shop")["verdict"] == "cancelled"
    assert inbox.marked() == []
    failed = inbox.root / "failed" / "shop"
    assert "cancel" in (failed / "error.md").read_text()
    assert not (failed / "cancel").exists()


def test_what_the_agent_leaves_running_behind_is_ended_with_the_task(inbox: Inbox) -> None:
    inbox.api.plays(
        upon("Set up storage", runs("(setsid nohup sleep 300 >/dev/null 2>&1 &) ; echo started"), says("Ready."))
    )
    inbox.start()
    inbox.drop("shop.yaml", TASK)
    assert inbox.done("shop")["result"] == "Ready."
    assert inbox.marked() == []
    assert "sleep" in inbox.log, "it says what it has ended"


# ---------------------------------------------------------------------------------------------- instructions are text


ODD = {
    "a command of claude": "/clear",
    "a command with an argument": "/model haiku\nthen go on",
    "an option": "--version",
    "a short option": "-x",
    "an exclamation mark": "!touch pwned",
    "a heading": "# /compact",
}


@pytest.mark.parametrize("ending", ["yaml", "txt"])
def test_instructions_are_text_for_the_model_whatever_they_begin_with(inbox: Inbox, ending: str) -> None:
    inbox.api.plays(upon("# Task", says("I was asked.")))
    inbox.start("--max-parallel", "2")
    for name, text in ODD.items():
        indented = text.replace("\n", "\n  ")
        inbox.drop(f"{name}.{ending}", f"instructions: |-\n  {indented}\n" if ending == "yaml" else text)
    tasks = [name.replace(" ", "-") for name in ODD]
    assert {task: inbox.done(task)["result"] for task in tasks} == dict.fromkeys(tasks, "I was asked.")
    assert sorted(inbox.api.prompts) == sorted(f"# Task\n\n{text}\n" for text in ODD.values())
    assert not [made for task in tasks for made in (inbox.root / "done" / task / "work").iterdir()]


@pytest.mark.parametrize("mode", ["bypassPermissions", "dontAsk"])
def test_claude_reads_a_file_in_that_the_instructions_name_after_an_at_sign(
    inbox: Inbox, tmp_path: Path, mode: str
) -> None:
    # A feature of claude's: the person's text reaches the model as it is, with the file beside it. No permission mode
    # and no denied Read tool keeps it from that, and it also reads what lies outside the working directory.
    inbox.api.plays(upon("# Task", says("I was asked.")))
    inbox.start()
    named = a_note(tmp_path)
    inbox.drop("odd.yaml", f"instructions: |-\n  @{named} and mail me@example.org\npermission_mode: {mode}\n")
    assert inbox.done("odd")["result"] == "I was asked."
    assert inbox.api.prompts == [f"# Task\n\n@{named} and mail me@example.org\n"]
    assert SECRET in json.dumps(inbox.api.requests[-1]["body"]["messages"])


def test_claude_cannot_have_a_file_read_in_by_naming_it_in_its_question(inbox: Inbox, tmp_path: Path) -> None:
    # The next prompt quotes the question. In this mode claude itself must not read outside its working directory.
    named = a_note(tmp_path)
    inbox.api.plays(
        upon("Set up storage", asks(f"Is this right: @{named} or @{named}?"), ASKED_IN_VAIN),
        upon("# Answer", says("…")),
    )
    inbox.start()
    inbox.drop("shop.yaml", f"{TASK}permission_mode: dontAsk\n")
    inbox.move_in(inbox.asked("shop") / "answer.md", "yes\n")
    inbox.done("shop")
    assert str(named) in inbox.api.prompts[-1]
    assert SECRET not in json.dumps(inbox.api.requests[-1]["body"]["messages"])


SECRET = "the secret is 4711"


def a_note(folder: Path) -> Path:
    note = folder / "note.txt"
    note.write_text(f"{SECRET}\n")
    return note
