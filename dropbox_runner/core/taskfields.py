"""The kinds of value that the fields of a task can have. Each takes the text of a file or the finished value."""

from __future__ import annotations

import difflib
import math
import re
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from pydantic import AfterValidator, BeforeValidator, StrictBool, WithJsonSchema
from pydantic_core import PydanticCustomError

from dropbox_runner.core.cleantext import describe_character, find_control, find_invisible, is_blank, shorten
from dropbox_runner.core.durations import DurationError, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_RETRIES = 10
_FIRST_YEAR, _LAST_YEAR = 1970, 2200
_LONGEST_ARGUMENT = 8 << 10
_LONGEST_PROMPT = 96 << 10
"""Bytes. The kernel takes 128 KiB as one argument of a program; more could never be started."""

_TRUE = ("true", "yes", "on")
_FALSE = ("false", "no", "off")
_OPTION = re.compile(r"--?[A-Za-z][\w-]*(=|$)", re.ASCII)
_EFFORT = re.compile(r"[A-Za-z0-9][\w.:\[\]-]*", re.ASCII)
_Choice = TypeVar("_Choice", bound=StrEnum)


class Priority(StrEnum):
    """Which of the waiting tasks comes first."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class PermissionMode(StrEnum):
    """What claude may do without asking; the names are claude's own."""

    DEFAULT = "default"
    MANUAL = "manual"
    ACCEPT_EDITS = "acceptEdits"
    PLAN = "plan"
    DONT_ASK = "dontAsk"
    BYPASS_PERMISSIONS = "bypassPermissions"
    AUTO = "auto"

    @property
    def rank(self) -> int:
        """How much it lets claude do, for comparison.

        Where nobody is there to be asked, `default`, `manual` and `dontAsk` come to the same.
        """
        return {"plan": 0, "acceptEdits": 2, "auto": 3, "bypassPermissions": 4}.get(self.value, 1)


def flaw(message: str, advice: str = "") -> PydanticCustomError:
    """Make the error of a validator; the message goes on from the field's name."""
    return PydanticCustomError("flaw", "{message}", {"message": message, "advice": advice})


def did_you_mean(word: str, choices: Sequence[str]) -> str | None:
    """Find the choice that a misspelt word was most likely meant to be."""
    if len(word) > 60:
        return None
    folded = {choice.casefold(): choice for choice in choices}
    close = difflib.get_close_matches(word.casefold().replace("-", "_"), folded, 1, 0.7)
    return folded[close[0]] if close else None


def to_bool(value: Any) -> bool:
    """Read yes/no, true/false, on/off."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else None
    if word not in _TRUE + _FALSE:
        raise flaw(f"must be true or false, not {_show(value)}", "write `yes` or `no`, or leave it out")
    return word in _TRUE


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return "a set of fields"
    if isinstance(value, list | tuple):
        return "a list"
    return f"`{shorten(str(value), 40)}`" if str(value).strip() else "empty"


def _not_blank(text: str) -> str:
    if is_blank(text):
        raise flaw("is empty", "write something, or delete the line")
    return text


def _one_line(text: str) -> str:
    text = _not_blank(text).strip()
    at = find_control(text)
    if "\n" in text or "\t" in text:
        raise flaw("must be one line, without tabs", "write it on one line, with spaces")
    if at is None:
        at = find_invisible(text)
    if at is not None:
        raise flaw(f"holds an invisible character, {describe_character(text[at])}", "delete it, or write the line anew")
    return text


def _argument(text: str) -> str:
    """Refuse what claude's command line could take for an option."""
    if _one_line(text).startswith("-"):
        raise flaw(
            f"must not begin with `-`: `{shorten(text.strip(), 40)}`",
            "mend the value: what begins so would be taken for an option",
        )
    return _at_most(_one_line(text), _LONGEST_ARGUMENT)


def _option(text: str) -> str:
    """Refuse what is no option in one piece: a value of its own would be taken for the prompt."""
    if not _OPTION.match(text.strip()):
        raise flaw(
            f"must be an option such as `--name=value`, in one piece: `{shorten(text, 40)}`",
            "write each option as an entry of its own, `- --name=value`, with its value behind a `=`",
        )
    return _at_most(text.strip(), _LONGEST_ARGUMENT)


def _at_most(text: str, limit: int) -> str:
    if len(text.encode("utf-8", "replace")) > limit:
        raise flaw(f"is longer than {limit >> 10} KiB", "put long texts into the instructions, or into a file")
    return text


def _task_name(text: str) -> str:
    if "/" in text or text.startswith("."):
        raise flaw(f"cannot be `{shorten(text, 40)}`", "write the name of the task's folder, such as `fix-login`")
    return text


def _effort(text: str) -> str:
    if not _EFFORT.fullmatch(text):
        raise flaw(f"cannot be `{shorten(text, 40)}`", "write one word, such as `low`, `medium` or `high`")
    return text


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _whole_number(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\d{1,4}", value.strip(), re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_RETRIES:
        raise flaw(f"must be a whole number from 0 to {MOST_RETRIES}, not {_show(value)}", "write such as `2`")
    return value


def _amount(value: Any) -> float:
    text = str(value).strip()
    amount = float(text) if re.fullmatch(r"\d{1,12}(\.\d*)?|\.\d+", text, re.ASCII) else math.nan
    if isinstance(value, bool) or not amount > 0:
        raise flaw(
            f"must be an amount above 0, not {_show(value)}", "write a plain number of dollars, such as `5` or `2.50`"
        )
    return amount


def _duration(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        return float(value)
    if not isinstance(value, str):
        raise flaw(f"is no length of time, but {_show(value)}", "write it like `90m` or `2h`")
    try:
        return parse_duration(value)
    except DurationError as error:
        raise flaw(f"cannot be used: {error}", error.advice) from None


def _moment(text: str) -> str:
    try:
        year = datetime.fromisoformat(text).year
    except ValueError:
        advice = "write it like `2026-03-01` or `2026-03-01 09:00`"
        raise flaw(f"is no date or time: `{shorten(text, 40)}`", advice) from None
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        # At the ends of the calendar a time cannot be told in another zone any more.
        message = f"must be in the years {_FIRST_YEAR} to {_LAST_YEAR}: `{shorten(text, 40)}`"
        raise flaw(message, "mend the year, or leave it out")
    return text


def _flag_or_name(value: Any) -> bool | str:
    if isinstance(value, str) and value.strip().lower() not in _TRUE + _FALSE:
        return _argument(value)
    return to_bool(value)


def _choice(kind: type[_Choice]) -> Callable[[Any], _Choice]:
    names = [member.value for member in kind]

    def read(value: Any) -> _Choice:
        for member in kind:
            if isinstance(value, str) and value.strip().casefold() == member.value.casefold():
                return member
        guess = did_you_mean(value, names) if isinstance(value, str) else None
        raise flaw(
            f"cannot be {_show(value)}", f"did you mean `{guess}`?" if guess else f"choose one of: {', '.join(names)}"
        )

    return read


_LIST_SCHEMA = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})

Text: TypeAlias = Annotated[str, AfterValidator(_not_blank)]
Line: TypeAlias = Annotated[str, AfterValidator(_one_line)]
Argument: TypeAlias = Annotated[str, AfterValidator(_argument)]
"""A value that reaches claude's command line."""
TaskName: TypeAlias = Annotated[Argument, AfterValidator(_task_name)]
Effort: TypeAlias = Annotated[Argument, AfterValidator(_effort)]
Moment: TypeAlias = Annotated[Line, AfterValidator(_moment)]
Texts: TypeAlias = Annotated[tuple[Text, ...], BeforeValidator(_as_list), _LIST_SCHEMA]
Lines: TypeAlias = Annotated[tuple[Line, ...], BeforeValidator(_as_list), _LIST_SCHEMA]
Arguments: TypeAlias = Annotated[tuple[Argument, ...], BeforeValidator(_as_list), _LIST_SCHEMA]
Options: TypeAlias = Annotated[
    tuple[Annotated[Text, AfterValidator(_option)], ...], BeforeValidator(_as_list), _LIST_SCHEMA
]
ArgumentText: TypeAlias = Annotated[Text, AfterValidator(lambda text: _at_most(text, _LONGEST_PROMPT))]
"""A text of several lines that reaches claude's command line."""
Flag: TypeAlias = Annotated[bool, BeforeValidator(to_bool)]
FlagOrName: TypeAlias = Annotated[StrictBool | str, BeforeValidator(_flag_or_name)]
Amount: TypeAlias = Annotated[float, BeforeValidator(_amount)]
Retries: TypeAlias = Annotated[
    int, BeforeValidator(_whole_number), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MOST_RETRIES})
]
Duration: TypeAlias = Annotated[
    float, BeforeValidator(_duration), WithJsonSchema({"type": "string", "examples": ["90m"]})
]
PriorityField: TypeAlias = Annotated[Priority, BeforeValidator(_choice(Priority))]
PermissionModeField: TypeAlias = Annotated[PermissionMode, BeforeValidator(_choice(PermissionMode))]
