"""The script that the stand-in plays: which steps for which prompt, run by run.

    {"rules": [{"name": "…", "match": "part of a prompt", "turns": [[STEP, …], [STEP, …]]}], "default": [[STEP, …]]}

The first rule wins whose `match` occurs in any prompt of the session so far; one without `match` always does. Run k of
a session plays turns[k-1], and the last again once they are used up. A step is an object with one key; steps.py says
what each does. In every text of a step {{prompt}} is the newest prompt, {{n}} the run's number, {{session}} the
session's id and {{state}} the state folder.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

Step = dict[str, Any]
Steps = list[Step]

_DEFAULT: list[Steps] = [[{"say": "Done. (This is the stand-in, not Claude: nothing was thought about.)"}]]

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


class ScenarioError(Exception):
    """The scenario itself is wrong. That is its author's mistake, so it must not look like anything claude says."""


class Rule(NamedTuple):
    """What to play for the sessions that speak of something."""

    name: str
    match: str
    turns: list[Steps]

    def steps(self, run: int) -> Steps:
        """Give the part for this run, counted from 1."""
        return self.turns[min(run, len(self.turns)) - 1]


class Scenario(NamedTuple):
    """A whole scenario file, checked."""

    rules: tuple[Rule, ...]

    def rule(self, prompts: list[str]) -> Rule:
        """Choose by everything that was said to this session."""
        return next(rule for rule in self.rules if any(rule.match in prompt for prompt in prompts))


def load(file: Path, known: Collection[str]) -> Scenario:
    """Read a scenario; a step that is not known is refused before anything is played."""
    try:
        data = json.loads(file.read_bytes())
        rules = [
            Rule(rule.get("name") or f"rule {number}", rule.get("match", ""), rule["turns"])
            for number, rule in enumerate(data.get("rules", ()), start=1)
        ]
        rules.append(Rule("default", "", data.get("default", _DEFAULT)))
        for rule in rules:
            _check(rule, known)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ScenarioError(f"{file}: {type(error).__name__}: {error}") from error
    return Scenario(tuple(rules))


def _check(rule: Rule, known: Collection[str]) -> None:
    turns: Any = rule.turns
    if not isinstance(turns, list) or not turns or not all(isinstance(steps, list) for steps in turns):
        raise ValueError(f"{rule.name}: turns must be a list of lists of steps, and not empty")
    for step in (step for steps in turns for step in steps):
        if not isinstance(step, dict) or len(step) != 1 or not step.keys() <= set(known):
            raise ValueError(f"{rule.name}: not a step: {json.dumps(step)} (known: {', '.join(sorted(known))})")


def fill(value: Any, values: Mapping[str, str]) -> Any:
    """Put values in for {{name}}, once, in every text of a step; a name that we do not have stays as it is."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [fill(item, values) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, values) for key, item in value.items()}
    return value


def fill_command(command: str, values: Mapping[str, str]) -> str:
    """Do the same in a shell command, where a value is one word whatever it holds: a prompt is no shell script."""
    filled: str = fill(command, {name: shlex.quote(value) for name, value in values.items()})
    return filled
