"""Commands that take a text: it may begin with `-` without being taken for an option."""

from __future__ import annotations

import re
from typing import Final

TAKING_TEXT: Final = ("add", "answer", "ask", "subtask")
"""All their options but `--help` have a value."""
_LONG: Final = re.compile(r"--[A-Za-z][\w-]*(?P<value>=.*)?", re.ASCII | re.DOTALL)
_SHORT: Final = re.compile(r"-[A-Za-z](?P<value>\S+)?", re.ASCII)


def text_last(arguments: list[str]) -> list[str]:
    """Put the text of such a command behind its options, in its order.

    A list (`- one`), a number or a sentence is text. What is spelt like an option stays one, so that a slip in its
    name is told and does not become part of an answer.
    """
    options: list[str] = []
    words: list[str] = []
    left = iter(arguments)
    for one in left:
        spelt = _LONG.fullmatch(one) or _SHORT.fullmatch(one)
        if one == "--":
            words += left
        elif spelt is None:
            words.append(one)
        elif spelt["value"] or one == "--help":
            options.append(one)
        else:
            options += [one, *([value] if (value := next(left, None)) is not None else [])]
    return [*options, "--", *words]
