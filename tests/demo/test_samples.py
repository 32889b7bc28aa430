"""The sample tasks are what their README says, so they cannot rot."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbox_runner.core.errors import RejectedError
from dropbox_runner.core.names import Kind, kind_of
from dropbox_runner.core.task import Task, parse_task
from dropbox_runner.demo.stage import samples

SAMPLES = Path(__file__).parents[2] / "sample_inbox"


def parse(name: str) -> Task:
    return parse_task(name, (SAMPLES / name).read_bytes())


GOOD = ["choose-database.yaml", "hello.yaml", "release-notes.md", "site.yaml"]


def test_there_are_five_samples_and_a_readme() -> None:
    assert sorted(path.name for path in SAMPLES.iterdir()) == sorted([*GOOD, "broken.yaml", "README.md"])


def test_the_demo_plays_these_very_files() -> None:
    assert samples() == SAMPLES


@pytest.mark.parametrize("name", [*GOOD, "broken.yaml"])
def test_a_sample_would_be_taken_as_a_task(name: str) -> None:
    assert kind_of(name) is Kind.TASK


def test_the_readme_of_the_samples_would_not() -> None:
    assert kind_of("README.md") is Kind.LEFT_ALONE


@pytest.mark.parametrize("name", [*GOOD, "broken.yaml"])
def test_a_sample_is_explained_in_the_readme(name: str) -> None:
    assert f"`{name}`" in (SAMPLES / "README.md").read_text()


@pytest.mark.parametrize("name", [*GOOD, "broken.yaml"])
def test_a_sample_says_in_a_comment_what_it_shows_and_fits_a_terminal(name: str) -> None:
    lines = (SAMPLES / name).read_text().splitlines()
    assert next(line for line in lines if line != "---").startswith("# ")
    assert max(map(len, lines)) <= 75


def test_hello_is_one_line() -> None:
    assert parse("hello.yaml").model_dump(exclude_defaults=True) == {
        "instructions": "Write a haiku about folders into haiku.txt."
    }


def test_choose_database_wants_to_be_asked() -> None:
    task = parse("choose-database.yaml")
    assert set(task.model_dump(exclude_defaults=True)) == {"instructions"}
    assert "ask me" in task.instructions


def test_release_notes_has_fields_before_its_text() -> None:
    task = parse("release-notes.md")
    assert (task.tags, task.timeout) == (("docs", "release"), 15 * 60)
    assert task.instructions.startswith("Turn these commits into release notes")


def test_site_names_a_folder_of_whoever_runs_it() -> None:
    task = parse("site.yaml")
    assert task.working_dir == "~/dropbox-runner-demo-site"
    assert (task.timeout, task.max_budget_usd) == (30 * 60, 2)


def test_broken_is_refused_with_both_its_mistakes() -> None:
    with pytest.raises(RejectedError) as caught:
        parse("broken.yaml")
    assert str(caught.value) == (
        "broken.yaml:3:1: there is no field `workingdir`\n"
        "    workingdir: ~/Pictures\n"
        "    ^\n"
        "  → did you mean `working_dir`?\n"
        "broken.yaml:4:10: `timeout` cannot be used: `30` has no unit\n"
        "    timeout: 30\n"
        "             ^\n"
        "  → say `30m` for minutes or `30s` for seconds"
    )
