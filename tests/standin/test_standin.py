"""The stand-in, through its wrapper, as a real process: what somebody notices who takes it for claude."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dropbox_runner.standin.scenario import ScenarioError, load
from dropbox_runner.standin.steps import STEPS
from dropbox_runner.standin.wrapper import write_wrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CAPTURE = Path(__file__).parents[1] / "captures" / "01_normal" / "stdout.jsonl"
USUAL = ("-p", "--output-format=stream-json", "--verbose", "--permission-mode=bypassPermissions")
SID = "b5865b94-4c16-441c-b74d-40f54c3f532c"
MARK = "DROPBOX_RUNNER_RUN_ID"

Line = dict[str, Any]


def poll(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


class Run:
    """One process and what it wrote."""

    def __init__(self, process: subprocess.Popen[bytes], stdout: Path, stderr: Path) -> None:
        self.process = process
        self._stdout = stdout
        self._stderr = stderr

    @property
    def lines(self) -> list[Line]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def stdout(self) -> bytes:
        return self._stdout.read_bytes()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    @property
    def exit(self) -> int:
        return self.process.wait(20)

    @property
    def result(self) -> Line:
        [result] = self.of("result")
        return result

    @property
    def tool_results(self) -> list[Line]:
        return [line["message"]["content"][0] for line in self.of("user")]

    def of(self, kind: str) -> list[Line]:
        return [line for line in self.lines if line["type"] == kind]

    def stop(self, signum: int) -> int:
        self.process.send_signal(signum)
        return self.exit


class Claude:
    """A stand-in in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.state = root / "state"
        self.work = root / "work"
        self.bin = root / "bin"
        self.work.mkdir()
        self.bin.mkdir()
        self._scenario = root / "scenario.json"
        self._root = root
        self.runs: list[Run] = []
        self.plays([{"say": "Hello."}])
        self.path = write_wrapper(root / "claude", self._scenario, self.state)

    def plays(self, *turns: list[Line]) -> None:
        self.follows({"default": turns})

    def follows(self, scenario: object) -> None:
        self._scenario.write_text(json.dumps(scenario))

    def start(self, prompt: str, *options: str, **env: str) -> Run:
        name = f"run-{len(self.runs)}"
        stdin, stdout, stderr = (self._root / f"{name}.{kind}" for kind in ("in", "out", "err"))
        stdin.write_text(prompt)
        environment = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self._root), MARK: f"{self._root}"} | env
        with stdin.open("rb") as source, stdout.open("wb") as out, stderr.open("wb") as err:
            process = subprocess.Popen(
                [self.path, *options], stdin=source, stdout=out, stderr=err, cwd=self.work, env=environment
            )
        self.runs.append(Run(process, stdout, stderr))
        return self.runs[-1]

    def run(self, prompt: str, *options: str, **env: str) -> Run:
        run = self.start(prompt, *USUAL, *options, **env)
        assert run.exit is not None
        return run

    def new(self, prompt: str = "do it", **env: str) -> Run:
        return self.run(prompt, f"--session-id={uuid.uuid4()}", **env)

    def new_until_touched(self, prompt: str = "do it") -> Run:
        """Start one whose scenario touches {{state}}/here, and wait for that."""
        run = self.start(prompt, *USUAL, f"--session-id={SID}")
        poll((self.state / "here").exists)
        return run

    @property
    def invocations(self) -> list[Line]:
        return [json.loads(line) for line in (self.state / "invocations.jsonl").read_bytes().splitlines()]

    def marked(self) -> set[int]:
        """All live processes that carry our mark in their environment."""
        mark = f"{MARK}={self._root}".encode()
        found = set()
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environ.read_bytes().split(b"\0"):
                    found.add(int(environ.parent.name))
            except OSError:
                continue
        return found


@pytest.fixture
def claude(tmp_path: Path) -> Iterator[Claude]:
    root = tmp_path / 'it\'s a "folder" with $HOME'
    root.mkdir()
    claude = Claude(root)
    yield claude
    for pid in claude.marked():
        os.kill(pid, signal.SIGKILL)
    for run in claude.runs:
        run.process.wait(20)


def text_of(line: Line) -> object:
    return line["message"]["content"][0].get("text")


# Who it is, and whether its lines look like the real ones.


def test_it_says_plainly_that_it_is_not_claude(claude: Claude) -> None:
    version = claude.start("", "--version")
    assert (version.exit, version.stdout) == (0, b"2.1.330 (stand-in, not Claude)\n")
    [init] = claude.new().of("system")
    assert (init["model"], init["claude_code_version"]) == ("stand-in", "stand-in")


def test_a_normal_run_has_the_lines_of_a_real_one_and_no_fields_that_those_lack(claude: Claude) -> None:
    real = [json.loads(line) for line in CAPTURE.read_bytes().splitlines()]
    ours = claude.new().lines
    assert [line["type"] for line in ours] == [line["type"] for line in real]
    for our, their in zip(ours, real, strict=True):
        assert our.keys() <= their.keys()
        assert next(iter(our)) == next(iter(their)), "a reader that goes by how a line begins must meet the same here"
    (_, said, result), (_, really_said, real_result) = ours, real
    assert said["message"].keys() <= really_said["message"].keys()
    for field in (
        "subtype",
        "is_error",
        "num_turns",
        "total_cost_usd",
        "terminal_reason",
        "stop_reason",
        "result_index",
    ):
        assert result[field] == real_result[field], field
    for part in ("usage", "modelUsage"):
        assert [*result[part]] != []
        assert set(result[part]) - {"stand-in"} <= set(real_result[part])


def test_it_needs_nothing_but_the_standard_library_so_that_it_starts_at_once() -> None:
    code = "import dropbox_runner.standin.agent, sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=Path(__file__).parents[2], capture_output=True, check=True
    )
    foreign = set(loaded.stdout.decode().split()) - sys.stdlib_module_names - {"__main__"}
    assert {name for name in foreign if not name.startswith("_")} == {"dropbox_runner"}


def test_the_wrapper_does_not_care_about_the_environment_of_its_caller(claude: Claude) -> None:
    trap = claude.work / "dropbox_runner"
    trap.mkdir()
    (trap / "__init__.py").write_text("raise SystemExit('the wrong one')")
    run = claude.new(PATH="/nonexistent", PYTHONPATH=str(claude.work), PYTHONSTARTUP="x", PYTHONHOME="/nonexistent")
    assert (run.exit, run.result["result"]) == (0, "Hello.")


def test_text_of_any_kind_stays_one_line(claude: Claude) -> None:
    text = "a\u2028b\u0085c\nd\x00e ü"
    claude.plays([{"say": text}])
    run = claude.new()
    assert run.result["result"] == text
    assert len(run.stdout.decode().splitlines()) == 3


# What it refuses, in claude's words.


@pytest.mark.parametrize(
    ("options", "prompt", "complaint"),
    [
        (
            ("-p", "--output-format=stream-json"),
            "x",
            "Error: When using --print, --output-format=stream-json requires --verbose",
        ),
        ((*USUAL, "--session-id=abc"), "x", "Error: Invalid session ID. Must be a valid UUID."),
        (
            (*USUAL, f"--session-id={SID}", f"--resume={SID}"),
            "x",
            "Error: --session-id with --continue or --resume also needs --fork-session.",
        ),
        (USUAL, "", "Error: Input must be provided either through stdin or as a prompt argument when using --print"),
        (USUAL, " \n", "Error: Input contained only whitespace."),
        (
            (*USUAL, "--permission-mode=yolo"),
            "x",
            "error: option '--permission-mode <mode>' argument 'yolo' is invalid.",
        ),
    ],
)
def test_a_wrong_command_line_is_refused_with_nothing_on_stdout(
    claude: Claude, options: tuple[str, ...], prompt: str, complaint: str
) -> None:
    run = claude.start(prompt, *options)
    assert (run.exit, run.stdout) == (1, b"")
    assert run.stderr.startswith(complaint)
    [logged] = claude.invocations
    assert (logged["kind"], logged["error"]) == ("refused", run.stderr.removesuffix("\n"))
    assert not (claude.state / "sessions").exists()


def test_a_session_id_can_be_used_once(claude: Claude) -> None:
    assert claude.run("do it", f"--session-id={SID}").exit == 0
    again = claude.run("do it", f"--session-id={SID}")
    assert (again.exit, again.stdout, again.stderr) == (1, b"", f"Error: Session ID {SID} is already in use.\n")


@pytest.mark.parametrize("session_id", [SID, "../../etc/passwd"])
def test_resuming_what_does_not_exist_gives_a_lone_error_result(claude: Claude, session_id: str) -> None:
    run = claude.run("go on", f"--resume={session_id}")
    message = f"No conversation found with session ID: {session_id}"
    assert (run.exit, run.stderr) == (1, message + "\n")
    [result] = run.lines
    assert result["type"] == "result"
    assert (result["subtype"], result["is_error"], result["num_turns"]) == ("error_during_execution", True, 0)
    assert (result["errors"], result["session_id"]) == ([message], session_id)


def test_a_misspelt_scenario_is_its_authors_fault_and_looks_like_nothing_claude_says(claude: Claude) -> None:
    claude.plays([{"sya": "hello"}])
    run = claude.new()
    assert (run.exit, run.stdout) == (2, b"")
    assert 'not a step: {"sya": "hello"}' in run.stderr


@pytest.mark.parametrize(
    "scenario",
    ['{"rules": [{}]}', '{"default": []}', '{"default": [{"say": "x"}]}', "[]", "{", '{"default": [["say"]]}'],
)
def test_a_scenario_of_the_wrong_shape_is_refused_before_anything_is_played(tmp_path: Path, scenario: str) -> None:
    file = tmp_path / "scenario.json"
    file.write_text(scenario)
    with pytest.raises(ScenarioError):
        load(file, STEPS)


# Sessions.


def test_every_run_of_a_session_plays_the_next_turn_and_the_last_one_repeats(claude: Claude) -> None:
    claude.plays([{"say": "{{n}}: first, {{prompt}}"}], [{"say": "{{n}}: later, {{prompt}}"}])
    first = claude.run("one", f"--session-id={SID}")
    later = [claude.run(prompt, f"--resume={SID}") for prompt in ("two", "three")]
    runs = [first, *later]
    assert [run.result["result"] for run in runs] == ["1: first, one", "2: later, two", "3: later, three"]
    assert {run.result["session_id"] for run in runs} == {SID}


def test_costs_add_up_over_a_session_but_the_last_part_is_told_apart(claude: Claude) -> None:
    claude.plays([{"say": "x"}, {"cost": 0.5}], [{"say": "y"}, {"cost": 0.25}, {"turns": 7}])
    claude.run("one", f"--session-id={SID}")
    result = claude.run("two", f"--resume={SID}").result
    assert (result["total_cost_usd"], result["num_turns"]) == (0.75, 7)
    assert result["model_usage_since_last_result"]["stand-in"]["costUSD"] == 0.25


def test_the_first_rule_that_finds_its_words_anywhere_in_the_session_is_played(claude: Claude) -> None:
    rules = [
        {"name": "login", "match": "login", "turns": [[{"say": "login 1"}], [{"say": "login 2"}]]},
        {"match": "go on", "turns": [[{"say": "never"}]]},
    ]
    claude.follows({"rules": rules, "default": [[{"say": "something else"}]]})
    assert claude.run("fix the login", f"--session-id={SID}").result["result"] == "login 1"
    assert claude.run("go on", f"--resume={SID}").result["result"] == "login 2"
    assert claude.new("and now?").result["result"] == "something else"
    assert [call["rule"] for call in claude.invocations] == ["login", "login", "default"]


def test_a_run_that_is_killed_can_be_resumed_but_its_cost_is_lost(claude: Claude) -> None:
    claude.plays([{"say": "I am gone."}, {"kill": "KILL"}], [{"say": "back"}])
    killed = claude.run("do it", f"--session-id={SID}")
    assert killed.exit == -signal.SIGKILL
    assert killed.of("result") == []
    resumed = claude.run("go on", f"--resume={SID}")
    assert (resumed.result["result"], resumed.result["total_cost_usd"]) == ("back", 0.0008)


def test_a_run_can_pretend_that_it_died_before_anything_was_saved(claude: Claude) -> None:
    claude.plays([{"no_session": True}, {"kill": "KILL"}])
    assert claude.run("do it", f"--session-id={SID}").exit == -signal.SIGKILL
    assert "No conversation found" in claude.run("go on", f"--resume={SID}").stderr
    assert claude.run("do it", f"--session-id={SID}").exit == -signal.SIGKILL, "the id is still free"


def test_every_call_is_logged_with_all_that_it_was_given(claude: Claude) -> None:
    run = claude.start("do it\n", *USUAL, f"--session-id={SID}", "--anything=goes", EXTRA="1", ANTHROPIC_API_KEY="k")
    assert run.exit == 0
    claude.run("go on", f"--resume={SID}")
    first, second = claude.invocations
    assert first["argv"] == [*USUAL, f"--session-id={SID}", "--anything=goes"]
    assert (first["pid"], first["cwd"], first["prompt"]) == (run.process.pid, str(claude.work), "do it\n")
    assert (first["session_id"], first["resume"], first["run"]) == (SID, False, 1)
    assert (second["session_id"], second["resume"], second["run"]) == (SID, True, 2)
    assert first["env"]["EXTRA"] == "1"
    assert first["env"]["ANTHROPIC_API_KEY"] == "k"


def test_values_may_follow_an_option_that_takes_one_and_words_are_the_prompt(claude: Claude) -> None:
    claude.plays([{"say": "{{prompt}}"}])
    run = claude.start("piped", "-p", "word", "--output-format", "stream-json", "--verbose", "--session-id", SID)
    assert (run.exit, run.result["result"], run.result["session_id"]) == (0, "word\npiped", SID)


# Questions and tools.


def test_ask_really_runs_the_command_that_path_finds(claude: Claude) -> None:
    fake = claude.bin / "dropbox-runner"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@" "$CLAUDE_CODE_SESSION_ID" > asked\necho "The question is left."\n')
    fake.chmod(0o755)
    claude.plays([{"ask": {"text": "Which 'db', $HOME?", "options": ["pg", "my sql"]}}, {"say": "I asked."}])
    run = claude.run("do it", f"--session-id={SID}")
    asked = (claude.work / "asked").read_text().splitlines()
    assert asked == ["ask", "Which 'db', $HOME?", "--option=pg", "--option=my sql", SID]
    [result] = run.tool_results
    assert (result["content"], result["is_error"]) == ("The question is left.", False)
    use = run.of("assistant")[0]["message"]["content"][0]
    assert (use["name"], use["id"]) == ("Bash", result["tool_use_id"])
    assert use["input"]["command"].startswith("dropbox-runner ask ")
    assert (run.exit, run.result["num_turns"]) == (0, 2)


def test_a_command_that_cannot_be_found_is_told_to_the_model_and_the_run_goes_on(claude: Claude) -> None:
    claude.plays([{"ask": {"text": "Well?"}}, {"say": "I could not ask."}])
    run = claude.new()
    [result] = run.tool_results
    assert result["is_error"] is True
    assert result["content"].startswith("Exit code 127\n")
    assert (run.exit, run.result["is_error"]) == (0, False)


@pytest.mark.parametrize(
    ("step", "written"),
    [
        ({"write_question": '{"text": "Which?"'}, b'{"text": "Which?"'),
        ({"write_question_bytes": base64.b64encode(b"\xff\x00").decode()}, b"\xff\x00"),
    ],
)
def test_a_question_file_gets_exactly_what_the_scenario_says(claude: Claude, step: Line, written: bytes) -> None:
    claude.plays([step])
    file = claude.work / "question.json"
    assert claude.new(DROPBOX_RUNNER_QUESTION_FILE=str(file)).exit == 0
    assert file.read_bytes() == written


def test_without_a_question_file_the_write_fails_and_the_run_goes_on(claude: Claude) -> None:
    claude.plays([{"write_question": "Which?"}])
    run = claude.new()
    assert (run.tool_results[0]["is_error"], run.exit) == (True, 0)


def test_tools_work_in_the_working_directory(claude: Claude) -> None:
    claude.plays(
        [{"write": {"path": "sub/a.txt", "text": "run {{n}}"}}, {"bash": "cat sub/a.txt; echo; echo oops >&2; exit 3"}]
    )
    run = claude.new()
    written, shown = run.tool_results
    assert written["is_error"] is False
    assert (shown["content"], shown["is_error"]) == ("Exit code 3\nrun 1\noops", True)
    assert (run.result["result"], run.result["num_turns"]) == ("", 3)


def test_a_prompt_in_a_shell_command_is_one_word_and_never_a_script(claude: Claude) -> None:
    claude.plays([{"bash": "printf '<%s>' {{prompt}}"}])
    run = claude.new("x'; touch pwned; {{n}} $(touch pwned)")
    assert run.tool_results[0]["content"] == "<x'; touch pwned; {{n}} $(touch pwned)>"
    assert list(claude.work.iterdir()) == []


def test_what_a_tool_leaves_in_the_background_lives_on_after_a_normal_end(claude: Claude) -> None:
    claude.plays([{"bash": "sleep 300 >/dev/null 2>&1 &"}, {"spawn": "echo $$ > {{state}}/spawned; exec sleep 300"}])
    run = claude.new()
    assert run.exit == 0
    poll(lambda: (claude.state / "spawned").exists() and (claude.state / "spawned").read_text())
    spawned = int((claude.state / "spawned").read_text())
    assert spawned in claude.marked()
    assert len(claude.marked()) == 2
    assert os.getsid(spawned) == spawned


# How a run ends.


def test_a_denial_leaves_its_three_traces_and_the_run_succeeds(claude: Claude) -> None:
    call = {"tool": "Bash", "input": {"command": "touch x"}, "message": "touch needs approval"}
    claude.plays([{"denied": call}, {"say": "I was not allowed to."}])
    run = claude.new()
    use = run.of("assistant")[0]["message"]["content"][0]
    _, notice = run.of("system")
    [told] = run.of("user")
    assert (notice["subtype"], notice["tool_use_id"], notice["message"]) == (
        "permission_denied",
        use["id"],
        call["message"],
    )
    assert told["message"]["content"][0]["content"] == call["message"]
    assert told["tool_result_meta"][0]["non_execution_kind"] == "user-rejected"
    assert run.result["permission_denials"] == [
        {"tool_name": "Bash", "tool_use_id": use["id"], "tool_input": {"command": "touch x"}}
    ]
    assert (run.exit, run.result["is_error"], run.result["num_turns"]) == (0, False, 2)


def test_a_usage_limit_looks_like_one_and_burns_the_session_id(claude: Claude) -> None:
    info = {"status": "rejected", "resetsAt": 1795336159, "rateLimitType": "five_hour"}
    limit = {"status": 429, "error": "rate_limit", "type": "rate_limit_error", "api_error": "usage_limit_reached"}
    limit |= {"text": "You've hit your 5-hour limit", "rate_limit_info": info}
    claude.plays([{"rate_limit": info}, {"api_error": limit}], [{"say": "now it works"}])
    run = claude.run("do it", f"--session-id={SID}")
    [event] = run.of("rate_limit_event")
    assert event["rate_limit_info"] == info
    [said] = run.of("assistant")
    assert (said["error"], said["is_api_error_message"], said["api_error_status"]) == ("rate_limit", True, 429)
    assert (said["api_error"], said["api_error_params"]) == ("usage_limit_reached", {"rate_limit_info": info})
    result = run.result
    assert (run.exit, result["subtype"], result["is_error"]) == (1, "success", True)
    assert (result["api_error_status"], result["api_error"]) == (429, "usage_limit_reached")
    assert (result["result"], result["terminal_reason"]) == ("You've hit your 5-hour limit", "api_error")
    assert result["total_cost_usd"] == 0
    assert "already in use" in claude.run("do it", f"--session-id={SID}").stderr
    assert claude.run("go on", f"--resume={SID}").result["result"] == "now it works"


def test_an_api_that_does_not_answer_at_all_has_no_status(claude: Claude) -> None:
    claude.plays([{"api_error": {"error": "server_error", "api_error": "connection_failed"}}])
    result = claude.new().result
    assert (result["api_error_status"], result["api_error"]) == (None, "connection_failed")
    assert "api_error_type" not in result


def test_a_result_with_an_error_subtype_has_errors_in_place_of_a_text(claude: Claude) -> None:
    claude.plays([{"say": "so far"}, {"result": {"subtype": "error_max_budget_usd", "errors": ["Reached"], "new": 1}}])
    run = claude.new()
    result = run.result
    assert (run.exit, result["is_error"], result["terminal_reason"]) == (1, True, "budget_exhausted")
    assert (result["errors"], result["new"]) == (["Reached"], 1)
    assert "result" not in result


def test_a_run_can_end_without_a_result_and_with_any_exit_code(claude: Claude) -> None:
    claude.plays([{"say": "x"}, {"no_result": True}, {"exit": 42}])
    run = claude.new()
    assert (run.exit, run.of("result"), len(run.of("assistant"))) == (42, [], 1)


def test_a_run_can_fail_before_its_first_line(claude: Claude) -> None:
    claude.plays([{"no_init": True}, {"no_session": True}, {"no_result": True}, {"stderr": "Error: bad"}, {"exit": 1}])
    run = claude.new()
    assert (run.exit, run.stdout, run.stderr) == (1, b"", "Error: bad\n")


def test_anything_can_be_put_on_stdout_also_half_a_line(claude: Claude) -> None:
    half = base64.b64encode(b'{"type":"resu').decode()
    claude.plays([{"no_init": True}, {"raw": '{"id":"{{session}}"}'}, {"raw_bytes": half}, {"no_result": True}])
    run = claude.run("do it", f"--session-id={SID}")
    assert run.stdout == f'{{"id":"{SID}"}}\n{{"type":"resu'.encode()


def test_it_goes_on_to_its_end_when_nobody_reads_any_more(claude: Claude) -> None:
    claude.plays([{"wait_for": "{{state}}/go"}, {"say": "nobody hears me"}, {"touch": "said"}])
    process = subprocess.Popen(
        [claude.path, *USUAL, f"--session-id={SID}", "prompt"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd=claude.work,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    (claude.state / "go").touch()
    assert process.wait(20) == 0
    assert (claude.work / "said").exists()


def test_it_can_outlive_its_result_line(claude: Claude) -> None:
    claude.plays([{"say": "done"}, {"linger": 300}])
    run = claude.start("do it", *USUAL, f"--session-id={SID}")
    poll(lambda: run.stdout.count(b"\n") == 3)
    assert run.result["is_error"] is False
    assert run.process.poll() is None
    assert run.stop(signal.SIGTERM) == 143
    assert len(run.of("result")) == 1


# Signals.

BUSY = "(sleep 301 &); setsid sleep 302 & nohup sleep 303 >/dev/null 2>&1 & touch {{state}}/here; sleep 304"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_in_a_tool_takes_the_tools_whole_family_along_and_leaves_no_result(
    claude: Claude, signum: int, code: int
) -> None:
    claude.plays([{"say": "running"}, {"bash": BUSY}], [{"say": "back"}])
    run = claude.new_until_touched()
    poll(lambda: len(claude.marked()) >= 5)  # a process that is just becoming another program shows no environment
    assert run.stop(signum) == code
    last = run.lines[-1]
    assert (last["message"]["content"][0]["content"], last["tool_use_result"]) == (
        "Exit code 137",
        "Error: Exit code 137",
    )
    poll(lambda: not claude.marked())
    assert claude.run("go on", f"--resume={SID}").result["total_cost_usd"] == 0.0016, "what it cost until then is known"


def test_only_what_was_forked_twice_survives_a_signal(claude: Claude) -> None:
    claude.plays([{"spawn": "sleep 300"}, {"bash": "touch {{state}}/here; sleep 300"}])
    run = claude.new_until_touched()
    assert run.stop(signal.SIGTERM) == 143
    poll(lambda: len(claude.marked()) == 1)


def test_sigterm_between_tools_leaves_neither_result_nor_tool_result(claude: Claude) -> None:
    claude.plays([{"say": "thinking"}, {"touch": "{{state}}/here"}, {"sleep": 300}])
    run = claude.new_until_touched()
    assert run.stop(signal.SIGTERM) == 143
    assert [line["type"] for line in run.lines] == ["system", "assistant"]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([{"bash": "touch {{state}}/here; sleep 300"}], "aborted_tools"),
        ([{"touch": "{{state}}/here"}, {"wait_for": "never"}], "aborted_streaming"),
    ],
)
def test_sigint_makes_a_result_that_speaks_of_an_error_and_exit_0(
    claude: Claude, steps: list[Line], reason: str
) -> None:
    claude.plays(steps)
    run = claude.new_until_touched()
    assert run.stop(signal.SIGINT) == 0
    result = run.result
    assert (result["subtype"], result["is_error"], result["terminal_reason"]) == (
        "error_during_execution",
        True,
        reason,
    )
    assert "result" not in result
    assert any("doesn't want to proceed" in str(text) for text in run.tool_results) == (reason == "aborted_tools")
    poll(lambda: not claude.marked())


def test_sigterm_can_be_ignored_by_the_stand_in_but_its_tools_do_not_inherit_that(claude: Claude) -> None:
    command = "touch {{state}}/here; sleep 300 & echo $! > {{state}}/tool; wait $!; echo sleep ended with $?"
    claude.plays([{"ignore_sigterm": True}, {"bash": command}, {"say": "still here"}])
    run = claude.new_until_touched()
    poll(lambda: (claude.state / "tool").exists() and (claude.state / "tool").read_text())
    run.process.send_signal(signal.SIGTERM)
    os.kill(int((claude.state / "tool").read_text()), signal.SIGTERM)
    assert run.exit == 0
    assert run.tool_results[0]["content"].endswith("sleep ended with 143")
    assert run.result["result"] == "still here"
