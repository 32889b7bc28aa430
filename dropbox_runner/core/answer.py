"""What a person answers. An answer is never refused for its form: at worst claude reads it as it was written."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError

from dropbox_runner.core.cleantext import clean_text, decode_anyhow, is_blank, is_marked, without_end_mark
from dropbox_runner.core.errors import RejectedError
from dropbox_runner.core.names import Kind, kind_of
from dropbox_runner.core.taskfields import to_bool
from dropbox_runner.core.yamltext import read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dropbox_runner.core.question import Question

ANSWER_NAMES = ("answer.md", "answer.txt", "answer.yaml", "answer.yml", "answer.json", "answer")

_FILED = re.compile(r"answer-(?P<round>\d+)(-\d+)?(\.|$)", re.IGNORECASE)
MAX_ANSWER_BYTES = 8 << 20

_KEYS = ("answer", "text")
_NUMBER = re.compile(r"[#(]?(\d{1,3})[.)]?", re.ASCII)
_MOST_NULS = 4
"""One of so many bytes; where more are NUL, it is no text."""
_DONE = re.compile(
    r"^[ \t]*[\"']?done[\"']?[ \t]*:[ \t]*[\"']?(?:true|yes|on)[\"']?[ \t]*,?[ \t]*$", re.IGNORECASE | re.MULTILINE
)
_FRONT = re.compile(r"---[ \t]*\n(?P<fields>(?:.*\n)*?)(?:---|\.\.\.)[ \t]*(?:\n|\Z)")


def answers_among(names: Iterable[str]) -> tuple[str, ...]:
    """Return the answer files among these names, in the order in which they are read: `Answer.MD` is one as well."""
    known = {name: ANSWER_NAMES.index(name.lower()) for name in names if name.lower() in ANSWER_NAMES}
    return tuple(sorted(known, key=lambda name: (known[name], name)))


def misnamed_answer(name: str, rounds: int | None = None) -> bool:
    """Say whether a file was probably meant as an answer, and is none: `answer.md.txt`, `answer (1).md`.

    With so many rounds closed, `answer-3.md` may be one that was filed, or one for a round that has no number yet.
    """
    filed = _FILED.match(name)
    return (
        name.lower().startswith("answer")
        and not answers_among([name])
        and not (filed and (rounds is None or (len(filed["round"]) < 9 and int(filed["round"]) <= rounds)))
        and kind_of(name) in (Kind.TASK, Kind.OTHER)
    )


def is_answer_of(name: str, number: int) -> bool:
    """Say whether a file is an answer that was filed under this round, and not a sync tool's or editor's copy of it."""
    filed = _FILED.match(name)
    return filed is not None and filed["round"] == str(number) and kind_of(name) in (Kind.TASK, Kind.OTHER)


@dataclass(frozen=True)
class Answer:
    """An answer as claude gets it."""

    text: str
    ended: bool = False
    """Whether its writer said "I am done": there is no need to wait for a second thought."""
    problem: str | None = None
    """Why it cannot be taken as it is; the task goes on waiting."""


def parse_answer(filename: str, data: bytes, questions: Sequence[Question] = ()) -> Answer:
    """Read an answer file. Never raises."""
    if len(data) > MAX_ANSWER_BYTES:
        return Answer("", problem=f"the answer is larger than {MAX_ANSWER_BYTES >> 20} MiB")
    if not is_marked(data) and (data.endswith(b"\0") or data.count(0) * _MOST_NULS > len(data)):
        # Else claude would go on with what a sync tool has only begun to write.
        return Answer("", problem="the answer holds NUL bytes: half of it is missing, or it is no text")
    text, ended = _read(filename, data)
    text = text.strip("\n").rstrip()
    if is_blank(text):
        return Answer("", ended, "the answer is empty")
    return Answer(_option_meant(text, questions), ended)


def _read(filename: str, data: bytes) -> tuple[str, bool]:
    """Take the text out of its form, or take the whole file as the text."""
    ending = filename.rpartition(".")[2].lower() if "." in filename else ""
    raw = decode_anyhow(data)
    if ending in ("yaml", "yml", "json"):
        try:
            return _from_json(raw) if ending == "json" else _from_yaml(raw)
        except (RejectedError, PydanticCustomError, ValueError, RecursionError):
            text, ended = without_end_mark(raw)
            return text, ended or bool(_DONE.search(text))
    text, done = _without_done(raw)
    text, ended = without_end_mark(text)
    return text, ended or done


def _without_done(text: str) -> tuple[str, bool]:
    """Take off fields above the text that say `done: true`; others beside that are left for claude to read."""
    front = _FRONT.match(text)
    if front is None or not _DONE.search(front["fields"]):
        return text, False
    return (text if _DONE.sub("", front["fields"]).strip() else text[front.end() :]), True


def _from_json(raw: str) -> tuple[str, bool]:
    content = json.loads(raw)
    return _from_fields(content if isinstance(content, dict) else {"answer": content})


def _from_yaml(raw: str) -> tuple[str, bool]:
    document = read_yaml(raw, file="answer")
    if document.comments_cut:
        # What YAML takes for a comment may well be half of the answer: "see #12".
        raise ValueError
    return _from_fields(document.value)


def _from_fields(content: dict[str, Any]) -> tuple[str, bool]:
    done = to_bool(content.get("done", False))
    values = [value for key, value in content.items() if key in _KEYS]
    if set(content) == {"done"}:
        return "", done
    if len(values) != 1 or not set(content) <= {*_KEYS, "done"}:
        # Something else stands beside the answer. It is meant for claude, so claude gets all of it.
        raise ValueError
    return clean_text(_text(values[0])), done


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list):
        return "\n".join(f"{number}. {_text(one)}" for number, one in enumerate(value, start=1))
    raise ValueError


def _option_meant(text: str, questions: Sequence[Question]) -> str:
    """Put the text of an option in place of its number, where there is one question it can belong to."""
    options = questions[0].options if len(questions) == 1 else ()
    found = _NUMBER.fullmatch(text.strip())
    if not found or text.strip() in options:
        # "4" is no number of an option where the options themselves are 2, 4 and 8.
        return text
    number = int(found[1])
    return options[number - 1] if 1 <= number <= len(options) else text
