"""How runs of the real claude end, and what happens then: each class of docs/endings.md that can be provoked."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .real_inbox import Api, Inbox, Json, asks, read_json, runs, says

pytestmark = pytest.mark.real


# ---------------------------------------------------------------------------------------------- the stage


def story(task: str, *turns: Json) -> Json:
    """What the model does from the first prompt of a task on, over all its runs."""
    return {"match": f"Work on {task}.", "where": "any", "index": "assistant", "turns": list(turns)}


def writes(file: Path) -> Json:
    return {"tool_use": {"name": "Write", "input": {"file_path": str(file), "content": "made"}}}


def refuses(status: int, kind: str, message: str, **headers: str) -> Json:
    return {"error": {"status": status, "type": kind, "message": message, "headers": headers}}


NOT_ALLOWED = says("I was not allowed to.")
MADE = says("It is made.")


class Person:
    """One inbox for many tasks: everything that a person does and sees in it."""

    def __init__(self, base: Path, claude: str, api: Api, **environment: str) -> None:
        self.inbox = Inbox(base, claude, api)
        self.inbox.environment |= environment
        self.api = api
        self._rules: list[Json] = []
        self.config = base / "settings.yaml"

    def start(self, *options: str, **settings: object) -> None:
        self.config.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
        self.inbox.start("--config", str(self.config), "--poll", "0.2", *options)

    def plays(self, *rules: Json, **more: object) -> None:
        self._rules = [*rules, *self._rules]
        self.api.plays(*self._rules, **more)

    def drop(self, task: str, text: str = "") -> None:
        self.inbox.drop(f"{task}.yaml", f"instructions: Work on {task}.\n{text}")

    def answer(self, task: str, text: str) -> None:
        self.inbox.move_in(self.inbox.root / "blocked" / task / "answer.md", text)

    def record(self, task: str) -> Json:
        for state in ("pending", "running", "blocked", "done", "failed"):
            if found := read_json(self.inbox.root / state / task / "record.json"):
                return found
        return {}

    def run(self, task: str, number: int = 1) -> Json:
        """Wait until a run of a task has been judged; return what is known of it."""

        def judged() -> Json:
            found: list[Json] = self.record(task).get("runs", [])
            return next((one for one in found if one["number"] == number and "verdict" in one), {})

        return self.inbox.wait(f"the end of run {number} of {task}", judged)

    def verdict(self, task: str, number: int = 1) -> str:
        return str(self.run(task, number)["verdict"])

    def status(self) -> Json:
        content: Json = json.loads(self.command("status", "--json", str(self.inbox.root)))
        return content

    def command(self, *words: str) -> str:
        return self.inbox._runner(*words)

    def held(self) -> str:
        """Wait until nothing new is started; return what a person reads of it."""
        notices = [*(self.inbox.home.parent / "state").rglob("notice.json")]
        self.inbox.wait("the queue to be held", lambda: any(read_json(one).get("held") for one in notices))
        return str(self.status()["held"])

    def tries_now(self, task: str) -> None:
        """Let the pauses be over: the task's own, and by `resume` the queue's."""
        file = self.inbox.arrives(task, "pending") / "record.json"
        record = read_json(file)
        record.pop("not_before", None)
        other = file.with_name(".changed.tmp")
        other.write_text(json.dumps(record))
        other.replace(file)
        self.opens()

    def opens(self) -> None:
        self.command("resume", "--folder", str(self.inbox.root))

    def went_on_in_one_session(self, task: str) -> None:
        asked = [one for one in self.api.requests if f"Work on {task}." in one["prompts"][0]]
        assert len({one["session"] for one in asked}) == 1
        first, *later = (run["resumed"] for run in self.record(task)["runs"])
        assert not first
        assert all(later)


def stage(base: Path, claude: str, **environment: str) -> Iterator[Person]:
    api = Api(base / "requests.jsonl")
    person = Person(base, claude, api, **environment)
    yield person
    person.inbox.close()
    api.close()
    assert "Traceback" not in person.inbox.log, person.inbox.log


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, claude: str) -> Iterator[Person]:
    """For what concerns one task alone: all of them in one inbox."""
    for person in stage(tmp_path_factory.mktemp("busy"), claude):
        person.start("--max-parallel", "8", api_retries=0)
        yield person


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory, claude: str) -> Iterator[Person]:
    """For what concerns the whole queue: one task after the other."""
    for person in stage(tmp_path_factory.mktemp("troubled"), claude):
        person.start(api_retries=0)
        yield person


@pytest.fixture
def alone(tmp_path: Path, claude: str) -> Iterator[Person]:
    """For what needs an environment of its own; the test starts it."""
    yield from stage(tmp_path, claude)


# ---------------------------------------------------------------------------------------------- limits and outages


def unified(reset: str) -> dict[str, str]:
    """What the API says beside a 429 when the five hours of a subscription are used up."""
    names = {"status": "rejected", "reset": reset, "representative-claim": "five_hour"}
    names |= {"5h-status": "rejected", "5h-reset": reset, "5h-utilization": "1"}
    names |= {"7d-status": "allowed", "7d-reset": "+300000", "7d-utilization": "0.4"}
    return {f"anthropic-ratelimit-unified-{name}": value for name, value in names.items()}


def test_at_the_usage_limit_of_a_subscription_everything_waits_and_goes_on_in_its_session(alone: Person) -> None:
    alone.inbox.environment["CLAUDE_CODE_OAUTH_TOKEN"] = "dummy"
    del alone.inbox.environment["ANTHROPIC_API_KEY"]
    reached = refuses(429, "rate_limit_error", "limit", **unified("+7800"))
    alone.plays(story("shop", runs("touch begun"), reached), story("other", says("Other.")))
    alone.start()
    alone.drop("shop")
    assert alone.verdict("shop") == "limited"
    held = alone.held()
    assert held.startswith("usage limit until ")
    assert "(in 2 h" in held
    assert "usage limit until " in (alone.inbox.root / "STATUS.md").read_text()

    # Also for a daemon that is started meanwhile.
    alone.drop("other")
    alone.inbox.stop(signal.SIGKILL)
    alone.start()
    assert "usage limit until " in alone.held()
    alone.inbox.wait("other to be queued", lambda: alone.record("other").get("next"))
    assert not alone.record("other").get("runs")

    alone.plays(story("shop", runs("touch begun"), says("Finished."), says("Finished.")))
    alone.opens()
    assert alone.inbox.done("shop")["result"] == "Finished."
    assert alone.inbox.done("other")["result"] == "Other."
    alone.went_on_in_one_session("shop")
    assert alone.record("shop")["retried"] == 0
    assert any("usage limit, which is over" in prompt for prompt in alone.api.prompts)


OVERLOADS: dict[str, Json] = {
    "throttled": refuses(429, "rate_limit_error", "slow down"),
    "overloaded": refuses(529, "overloaded_error", "Overloaded"),
    "slow": refuses(408, "timeout_error", "Request timeout"),
    "reset": {"drop": "reset"},
    "cut": {"drop": "mid"},
}


@pytest.mark.parametrize("name", OVERLOADS)
def test_what_will_pass_is_waited_out(troubled: Person, name: str) -> None:
    troubled.plays(story(name, OVERLOADS[name]))
    troubled.drop(name, "retries: 1\n")
    run = troubled.run(name)
    assert (run["verdict"], run["resumed"]) == ("overloaded", False)
    folder = troubled.inbox.arrives(name, "pending")
    assert 20 < read_json(folder / "record.json")["not_before"] - time.time() < 40
    # Several in a row would hold the whole queue, and with it the next of these tests.
    (folder / "cancel").touch()
    assert troubled.inbox.failed(name)["verdict"] == "cancelled"
    troubled.opens()


def test_after_an_overload_a_task_goes_on_in_its_session(troubled: Person) -> None:
    troubled.plays(story("tired", runs("touch begun"), OVERLOADS["overloaded"]))
    troubled.drop("tired", "retries: 1\n")
    assert troubled.verdict("tired") == "overloaded"
    troubled.plays(story("tired", runs("touch begun"), says("Finished.")))
    troubled.tries_now("tired")
    assert troubled.inbox.done("tired")["result"] == "Finished."
    assert troubled.record("tired")["retried"] == 0
    troubled.went_on_in_one_session("tired")


def test_nobody_listening_at_all_is_waited_out_too(alone: Person) -> None:
    alone.inbox.environment["ANTHROPIC_BASE_URL"] = "http://127.0.0.1:1"
    alone.start(api_retries=0)
    alone.drop("shop")
    run = alone.run("shop")
    assert run["verdict"] == "overloaded"
    assert "refused" in run["reason"].lower()


ACCOUNTS: dict[str, tuple[Json, str]] = {
    "forbidden": (refuses(403, "permission_error", "not for you"), "403"),
    "unpaid": (
        refuses(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        "Credit balance is too low",
    ),
}


@pytest.mark.parametrize("name", ACCOUNTS)
def test_trouble_with_the_account_pauses_the_queue_and_fails_nothing(troubled: Person, name: str) -> None:
    refusal, words = ACCOUNTS[name]
    troubled.plays(story(name, refusal))
    troubled.drop(name)
    assert troubled.verdict(name) == "account"
    held = troubled.held()
    assert words in held
    assert "next try" in held
    troubled.plays(story(name, says("Finished.")))
    troubled.tries_now(name)
    assert troubled.inbox.done(name)["result"] == "Finished."


def test_a_bad_key_shows_in_seconds_with_the_settings_as_they_come(alone: Person) -> None:
    alone.plays(story("shop", refuses(401, "authentication_error", "invalid x-api-key")))
    alone.start()
    alone.drop("shop")
    alone.inbox.arrives("shop", "running")
    began = time.monotonic()
    assert alone.verdict("shop") == "account"
    assert time.monotonic() - began < 15
    assert "Invalid API key" in alone.held()
    assert "Invalid API key" in (alone.inbox.root / "STATUS.md").read_text()


def test_without_any_login_the_queue_is_paused(alone: Person) -> None:
    del alone.inbox.environment["ANTHROPIC_API_KEY"]
    alone.start()
    alone.drop("shop")
    assert alone.verdict("shop") == "account"
    assert "Not logged in" in alone.held()
    assert alone.api.requests == []


# ---------------------------------------------------------------------------------------------- the task's own errors


def test_an_unknown_model_fails_and_the_queue_goes_on(troubled: Person) -> None:
    troubled.plays(story("nope", says("…")), story("after", says("Fine.")), known_models=["claude-opus-5-5"])
    troubled.drop("nope", "model: claude-nope-9\n")
    assert "claude-nope-9" in troubled.inbox.failed("nope")["reason"]
    troubled.plays()
    troubled.drop("after")
    assert troubled.inbox.done("after")["result"] == "Fine."


def test_a_refusal_of_the_model_fails(busy: Person) -> None:
    busy.plays(story("wicked", {"text": "No.", "stop_reason": "refusal"}))
    busy.drop("wicked")
    assert busy.inbox.failed("wicked")["verdict"] == "failed"


def test_a_budget_holds_and_is_raised_by_an_answer(busy: Person) -> None:
    dear = {"usage": {"input_tokens": 100_000, "output_tokens": 20_000}}
    busy.plays(story("dear", runs("echo 1") | dear, runs("echo 2") | dear, says("Finished.")))
    busy.drop("dear", "max_budget_usd: 1.0\n")
    text = (busy.inbox.asked("dear") / "question.md").read_text()
    assert "$1.60 of its budget of $1.00" in text
    busy.answer("dear", "5\n")
    result = busy.inbox.done("dear")
    assert result["result"] == "Finished."
    assert result["cost_usd"] > 1.6
    busy.went_on_in_one_session("dear")


# ---------------------------------------------------------------------------------------------- permissions


@pytest.mark.parametrize("mode", ["default", "acceptEdits", "dontAsk"])
def test_a_file_that_claude_may_not_write_is_written_after_allow(busy: Person, tmp_path: Path, mode: str) -> None:
    task, file = f"write-{mode}", tmp_path / "made by claude.txt"
    busy.plays(story(task, writes(file), NOT_ALLOWED, writes(file), MADE))
    busy.drop(task, f"permission_mode: {mode}\n")
    text = (busy.inbox.asked(task) / "question.md").read_text()
    assert f"write the file {file}" in text
    assert not file.exists()
    busy.answer(task, "allow\n")
    assert busy.inbox.done(task)["result"] == "It is made."
    assert file.read_text() == "made"


def test_in_plan_mode_a_file_cannot_be_granted_and_the_question_says_so(busy: Person, tmp_path: Path) -> None:
    file = tmp_path / "planned.txt"
    busy.plays(story("write-plan", writes(file), NOT_ALLOWED, says("Then not.")))
    busy.drop("write-plan", "permission_mode: plan\n")
    folder = busy.inbox.asked("write-plan")
    assert "none allows exactly this" in (folder / "question.md").read_text()
    assert not file.exists()
    busy.answer("write-plan", "No. Leave it.\n")
    assert busy.inbox.done("write-plan")["result"] == "Then not."
    assert any("No. Leave it." in prompt and "does not allow it" in prompt for prompt in busy.api.prompts)


COMPOUND = (
    "touch a; touch b",
    "touch c $(echo d)",
    "touch $(echo e) f",
    "for name in g h; do\n  touch $name\ndone",
    "touch i\ntouch j",
    "touch 'k' && touch \"l\"",
    " touch m ",
)


@pytest.mark.parametrize("mode", ["default", "plan", "dontAsk"])
def test_compound_commands_are_granted_as_exactly_themselves(busy: Person, mode: str) -> None:
    commands = COMPOUND if mode == "dontAsk" else COMPOUND[:3]
    task, tries = f"compound-{mode}", [runs(command) for command in commands]
    busy.plays(story(task, *tries, NOT_ALLOWED, *tries, runs("touch a; touch n"), MADE))
    busy.drop(task, f"permission_mode: {mode}\n")
    busy.inbox.asked(task)
    busy.answer(task, "allow\n")
    # Just these: what it tried besides is the next question.
    folder = busy.inbox.asked(task, 2)
    text = (folder / "question.md").read_text()
    assert text.count("run the command: ") == 1
    assert "touch a; touch n" in text
    made = "".join(sorted(path.name for path in (folder / "work").iterdir()))
    assert made == ("abcdefghijklm" if mode == "dontAsk" else "abcdef")
    busy.answer(task, "done\n")
    assert busy.inbox.done(task)["result"] == "It is made."


INJECTIONS = (
    "echo $(true), Bash, (x)",
    "echo (x),Bash,(y)",
    "(true) Bash (true)",
    "a) Bash(touch x",
    "touch \\(a\\), Bash",
    "touch a*",
    "touch b \\",
)


def test_no_command_smuggles_in_another_rule(busy: Person) -> None:
    tries = [runs(command) for command in INJECTIONS]
    busy.plays(story("inject", *tries, NOT_ALLOWED, runs("touch pwned"), runs("touch apwned"), NOT_ALLOWED))
    busy.drop("inject", "permission_mode: dontAsk\n")
    busy.inbox.asked("inject")
    busy.answer("inject", "allow\n")
    folder = busy.inbox.asked("inject", 2)
    assert "touch pwned" in (folder / "question.md").read_text()
    assert list((folder / "work").iterdir()) == []


# ---------------------------------------------------------------------------------------------- questions and answers


ANSWERS = ("/clear", "--version", "start " + "0123456789abcdef " * 65_000 + "end")


def test_any_answer_is_text_for_the_model(busy: Person) -> None:
    rounds = [turn for _ in ANSWERS for turn in (asks("What shall it say?"), says("…"))]
    busy.plays(story("textual", *rounds, says("Thank you.")))
    busy.drop("textual")
    for number, answer in enumerate(ANSWERS, 1):
        busy.inbox.asked("textual", number)
        busy.answer("textual", answer)
        assert busy.run("textual", number + 1)["verdict"] in ("asked", "succeeded")
        asked = [one for one in busy.api.requests if "Work on textual." in one["prompts"][0]]
        assert answer in "".join(full_text(one) for one in asked)
    assert busy.inbox.done("textual")["result"] == "Thank you."
    busy.went_on_in_one_session("textual")


def full_text(request: Json) -> str:
    """All that the user's side has said, unabridged."""
    contents = [message["content"] for message in request["body"]["messages"] if message["role"] == "user"]
    blocks = [
        block for content in contents for block in (content if isinstance(content, list) else [{"text": content}])
    ]
    return "\n".join(str(block.get("text")) for block in blocks)


def test_several_questions_in_one_turn_are_one_page_and_a_question_about_the_answer_is_the_next(busy: Person) -> None:
    both = runs('dropbox-runner ask "Which port?" && dropbox-runner ask "Which host?" --option here --option there')
    busy.plays(story("rounds", both, says("…"), asks("Which there did you mean?"), says("…"), MADE))
    busy.drop("rounds", "permission_mode: dontAsk\n")
    text = (busy.inbox.asked("rounds") / "question.md").read_text()
    assert "> Which port?" in text
    assert "> Which host?" in text
    assert "2. there" in text
    busy.answer("rounds", "1. 5433\n2. there\n")
    folder = busy.inbox.asked("rounds", 2)
    assert "> Which there did you mean?" in (folder / "question.md").read_text()
    assert (folder / "answer-1.md").read_text() == "1. 5433\n2. there\n"
    busy.answer("rounds", "the far one\n")
    assert busy.inbox.done("rounds")["result"] == "It is made."
    busy.went_on_in_one_session("rounds")
    first, second = (
        one for one in busy.api.prompts if "the far one" in one or ("5433" in one and one.startswith("# Answer"))
    )
    assert "1. Which port?" in first
    assert "2. there" in first
    assert "> Which there did you mean?" in second
    assert "5433" not in second


# ---------------------------------------------------------------------------------------------- sessions


def transcripts(person: Person, task: str) -> list[Path]:
    """What claude has saved of the session."""
    session = person.record(task).get("session_id", "none")
    return [*(person.inbox.home / ".claude" / "projects").rglob(f"{session}.jsonl")]


def forget(person: Person, task: str) -> None:
    """As claude does after 30 days."""
    for file in person.inbox.wait(f"claude to save the session of {task}", lambda: transcripts(person, task)):
        file.unlink()


def kill(person: Person, task: str, how: signal.Signals = signal.SIGKILL) -> None:
    os.kill(person.record(task)["runs"][0]["process"]["pid"], how)


def test_a_forgotten_session_in_which_work_was_done_is_not_begun_again_unasked(busy: Person) -> None:
    busy.plays(story("forgotten", asks("Which?"), says("…")))
    busy.drop("forgotten")
    busy.inbox.asked("forgotten")
    forget(busy, "forgotten")
    busy.answer("forgotten", "the first\n")
    folder = busy.inbox.asked("forgotten", 2)
    assert "no longer knows the session" in (folder / "question.md").read_text()
    busy.plays(story("forgotten", says("All over again.")))
    busy.answer("forgotten", "1\n")
    assert busy.inbox.done("forgotten")["result"] == "All over again."
    assert [run["resumed"] for run in busy.record("forgotten")["runs"]] == [False, True, False]


def test_a_session_in_which_nothing_had_happened_is_begun_again_by_itself(busy: Person) -> None:
    busy.plays(story("early", {"hang": True}))
    busy.drop("early")
    busy.inbox.wait("claude to save the session", lambda: transcripts(busy, "early"))
    # Else it may write a last line into a file that has just been taken away, and make half a session of it.
    kill(busy, "early", signal.SIGSTOP)
    forget(busy, "early")
    busy.plays(story("early", says("Finished after all.")))
    kill(busy, "early")
    assert busy.inbox.done("early")["result"] == "Finished after all."
    resumed = [run["resumed"] for run in busy.record("early")["runs"]]
    assert resumed == [False, True, False]


def test_a_session_that_exists_already_is_resumed_and_not_started_twice(busy: Person) -> None:
    busy.plays(story("twice", {"hang": True}))
    busy.drop("twice")
    busy.inbox.wait("claude to save the session", lambda: transcripts(busy, "twice"))
    busy.plays(story("twice", says("Finished after all.")))
    kill(busy, "twice")
    assert busy.inbox.done("twice")["result"] == "Finished after all."
    busy.went_on_in_one_session("twice")
