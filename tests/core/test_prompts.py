"""What claude is told."""

from __future__ import annotations

import pytest

from dropbox_runner.core.prompts import (
    PREAMBLE,
    SAFE_ASK_RULE,
    answer_prompt,
    continuation_prompt,
    first_prompt,
    unanswered_prompt,
    with_edit,
    with_late_words,
)
from dropbox_runner.core.run import Why


@pytest.mark.parametrize("instructions", ["/clear", "-p", "--version", "!ls", "#note", "\n\n/exit\n"])
def test_instructions_can_never_be_taken_for_a_command(instructions: str) -> None:
    prompt = first_prompt(instructions)
    assert prompt.startswith("# Task\n\n")
    assert instructions.strip("\n") in prompt
    assert prompt.endswith("\n")


def test_attachments_are_named() -> None:
    assert "- /a/b c.txt\n- /d\n" in first_prompt("work", ("/a/b c.txt", "/d"))
    assert "Look at these" not in first_prompt("work")


def test_instructions_are_passed_on_as_they_were_written() -> None:
    text = "  indented\n\n```\ncode {x} %s\n```\n  end"
    assert text in first_prompt(text)


def test_an_answer_repeats_the_question_which_may_be_days_old() -> None:
    prompt = answer_prompt("Which\n\nbranch?", "  main\n")
    assert "> Which\n>\n> branch?" in prompt
    assert "Answer:\n\nmain\n" in prompt
    assert prompt.index("Which") < prompt.index("main") < prompt.index("Go on with the task")


@pytest.mark.parametrize("why", [Why.INTERRUPTED, Why.STOPPED, Why.RETRY, Why.HANDED_BACK, Why.EDITED])
def test_every_other_reason_to_go_on_says_why_and_what_to_do(why: Why) -> None:
    prompt = continuation_prompt(why, "exit code 9\nmore", "be quick")
    heading, said, *_ = prompt.split("\n\n")
    assert heading == f"# {why.value.replace('_', ' ').capitalize()}"
    assert len(said) > 20
    assert "> exit code 9\n> more" in prompt
    assert "The person says:\n\nbe quick" in prompt


@pytest.mark.parametrize("why", [Why.INTERRUPTED, Why.STOPPED])
def test_after_a_cut_claude_is_told_to_check_what_took_effect(why: Why) -> None:
    assert "Check which of your last steps took effect" in continuation_prompt(why)
    assert "reported" not in continuation_prompt(why), "nothing is said of what is not there"


def test_late_words_are_not_mistaken_for_the_answer() -> None:
    prompt = with_late_words("# Answer\n", ("blue\n.\n", "or green"))
    assert prompt.startswith("# Answer\n")
    assert "The person also wrote this, too late to be the answer to a question of yours:" in prompt
    assert "> blue" in prompt
    assert "> or green" in prompt
    assert with_late_words("# Answer\n", ()) == "# Answer\n"


def test_an_edit_is_told_with_the_whole_new_text() -> None:
    prompt = with_edit("# Edited\n", "write two\n")
    assert prompt.startswith("# Edited\n")
    assert "The task was edited. Its new text is:\n\nwrite two\n" in prompt
    assert "> Red?" in unanswered_prompt("Red?")


def test_the_preamble_teaches_the_command_that_the_rule_lets_through() -> None:
    command = SAFE_ASK_RULE.removeprefix("Bash(").removesuffix(" *)")
    assert command == "dropbox-runner ask"
    assert f'{command} "' in PREAMBLE
    assert "$DROPBOX_RUNNER_QUESTION_FILE" in PREAMBLE
