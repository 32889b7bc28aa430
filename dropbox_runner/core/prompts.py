"""What claude is told: the preamble that teaches it to ask, and the prompt of each run."""

from __future__ import annotations

import re

from dropbox_runner.core.run import Why

PREAMBLE = """\
You are working unattended: nobody sees your messages while you work, and nobody can answer in this conversation.
If you need a decision, a missing fact or a permission from the person who gave you this task, run

    dropbox-runner ask "your question" --option "first choice" --option "second choice"

(options may be left out; ask several times for several questions), then stop and end your turn at once: the answer
comes as your next message, in this same session. Where that command cannot be found, write
{"text": "your question", "options": ["first choice", "second choice"]} to the file named by
$DROPBOX_RUNNER_QUESTION_FILE and end your turn. Do not ask in your final message only: it ends the task.
To hand over a separate piece of work as a task of its own, run: dropbox-runner subtask "what is to be done".
When you are done, end with a short report of what you did; it is what the person reads."""

_READ_IN = re.compile(r"(?<!\S)@")

SAFE_ASK_RULE = "Bash(dropbox-runner ask *)"
"""Lets exactly our own command through in every permission mode (measured on claude 2.1.330)."""

OUTLIVING_TOOLS = ("ScheduleWakeup", "CronCreate", "Monitor")
"""Tools that keep claude running after its result, or promise something that an unattended run cannot keep."""


def first_prompt(instructions: str, attachments: tuple[str, ...] = ()) -> str:
    """Put the instructions under a heading, so that a text that starts with `/` cannot be taken as a command."""
    parts = ["# Task", instructions.strip("\n")]
    if attachments:
        parts.append("Look at these first:\n" + "\n".join(f"- {path}" for path in attachments))
    return "\n\n".join(parts) + "\n"


def answer_prompt(question: str, answer: str) -> str:
    """Say what was asked and what the person answered: the session may be days old."""
    return f"# Answer\n\nYou asked:\n\n{_quoted(question)}\n\nAnswer:\n\n{answer.strip()}\n\nGo on with the task.\n"


def continuation_prompt(why: Why, detail: str = "", answer: str = "") -> str:
    """Tell claude why it is being woken up again, and what is expected of it."""
    said = {
        Why.INTERRUPTED: "The run was cut off. Check which of your last steps took effect, then go on with the task.",
        Why.STOPPED: "The run was stopped. Check which of your last steps took effect, then go on with the task.",
        Why.LIMITED: "The run was cut short by the account's usage limit, which is over. Go on with the task.",
        Why.OVERLOADED: "The run was cut short because the API could not be reached or was overloaded. Go on.",
        Why.ACCOUNT: "The run could not go on because of trouble with the account, which is mended. Go on.",
        Why.ALLOWED: "You may now do what you were not allowed to do. Go on with the task.",
        Why.DENIED: "The person has seen what you were not allowed to do, and does not allow it. Go on without.",
        Why.MONEY: "The budget for this task was spent and has been raised. Go on with the task.",
        Why.RETRY: "The run failed. Look where things stand, then try again.",
        Why.EDITED: "You have ended your turn, but the task is not over.",
        Why.LATE: "You have ended your turn, but the person has more to say.",
        Why.HANDED_BACK: "This task was handed back to you. Look where it stands, then complete it.",
    }[why]
    parts = [f"# {why.value.replace('_', ' ').capitalize()}", said]
    if detail:
        parts.append(f"What was reported:\n\n{_quoted(detail)}")
    if answer:
        parts.append(f"The person says:\n\n{answer.strip()}")
    return "\n\n".join(parts) + "\n"


def unanswered_prompt(question: str) -> str:
    """Say that a question has been overtaken by what the person did instead of answering."""
    return f"# No answer\n\nYou asked:\n\n{_quoted(question)}\n\nThe person did not answer, but did this instead:\n"


def with_edit(prompt: str, instructions: str) -> str:
    """Add the new text of a task that was edited after its session had begun."""
    return (
        f"{prompt}\nThe task was edited. Its new text is:\n\n{instructions.strip()}\n\nCarry it out as it stands now.\n"
    )


def with_attachments(prompt: str, places: tuple[str, ...]) -> str:
    """Say where the files lie that the person handed over together with the task, where that is not plain to see."""
    if not places:
        return prompt
    named = "\n".join(f"- {path}" for path in places)
    return f"{prompt}\nThe files that came with the task lie in\n\n{named}\n"


def with_late_words(prompt: str, texts: tuple[str, ...]) -> str:
    """Add what the person wrote too late for an earlier question, marked as such: it answers nothing asked since."""
    if not texts:
        return prompt
    said = "\n\n".join(text.strip() for text in texts)
    return (
        f"{prompt}\nThe person also wrote this, too late to be the answer to a question of yours:\n\n{_quoted(said)}\n"
    )


def _quoted(text: str) -> str:
    """Quote what claude or a program has said.

    claude reads the file behind every `@path` in a prompt, past its permissions (measured on claude 2.1.330). In what
    the person wrote that is meant; a text of claude's own must not get at files that way by being quoted back to it.
    """
    return "\n".join(f"> {line}".rstrip() for line in _READ_IN.sub(r"\\@", text.strip()).splitlines())
