"""Bytes that a person, an editor or claude wrote, made into text that is safe to show and to pass on."""

from __future__ import annotations

import codecs
import re
import unicodedata

from dropbox_runner.core.errors import Problem, RejectedError

MAX_BYTES = 1 << 20
"""A task is written by hand; what is larger is something else that fell into the folder."""

WIDEST_EXCERPT = 100

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_NAMES = {"\x00": "NUL", "\x07": "bell", "\x08": "backspace", "\x0c": "form feed", "\r": "CR", "\x1b": "ESC"}
_A_LINE = 64
_NO_TEXT = Problem(
    "the file is no text", "a picture, a program or an archive is no task; name such files in one", line=1
)
_SAVE_AS_UTF8 = "save the file as UTF-8 (most editors: Save as, Encoding: UTF-8)"


def find_control(text: str) -> int | None:
    """Where the first character stands that has no place in a text: control characters, half emoji."""
    found = _CONTROL.search(text)
    return found.start() if found else None


def find_invisible(text: str) -> int | None:
    """Where the first character stands that shows a line otherwise than it is: turned round, or with a gap unseen."""
    return next((at for at, char in enumerate(text) if _is_unseen(char)), None)


def is_blank(text: str) -> bool:
    """Say whether nothing of a text can be seen."""
    return not text.strip() or all(char.isspace() or _is_unseen(char) for char in text)


def describe_character(char: str) -> str:
    """Name a character that cannot be seen: `U+001B (ESC)`."""
    name = "half of a surrogate pair" if _SURROGATE.match(char) else _NAMES.get(char)
    return f"U+{ord(char):04X}" + (f" ({name})" if name else "")


def join_surrogates(text: str) -> str:
    """Put together characters that JSON-like escapes wrote in two halves; a lone half stays what it is."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def clean_text(text: str) -> str:
    """Make a text harmless that must not be refused: line ends are unified, other control characters visible."""
    text = join_surrogates(text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub(_visible, text)


def clean_line(text: str) -> str:
    """As clean_text, on one line."""
    return " ".join(clean_text(text).split())


def shorten(text: str, width: int = 60) -> str:
    """Cut a text to one short line for a message."""
    return _straight(clean_line(text if len(text) <= width else text[: width - 1] + "…"))


def clipped(text: str, most: int = 4000) -> str:
    """Cut what may be megabytes (an error, a command) to what somebody reads; where it comes from it is kept whole."""
    return clean_text(text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters in all)")


def excerpt(line: str, column: int | None = None) -> str:
    """Show a line under a message, one character for each of its own, so that the caret stands right.

    Nothing is shown of a place so far to the right that no screen would hold it.
    """
    if column is not None and column > WIDEST_EXCERPT:
        return ""
    shown = line if len(line) <= WIDEST_EXCERPT else line[:WIDEST_EXCERPT] + "…"
    return _straight(_CONTROL.sub(_visible, shown)).replace("\t", "⇥").rstrip()


def _straight(text: str) -> str:
    """Show each invisible character as one that can be seen: some turn round what follows them on the line."""
    if text.isascii():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_unseen(char) else char for char in text)


def _is_unseen(char: str) -> bool:
    # The joiners belong to the script of many languages, and to emoji.
    return unicodedata.category(char) in ("Cf", "Zl", "Zp") and char not in "\u200c\u200d"


def decode_text(data: bytes | str, *, file: str, limit: int = MAX_BYTES) -> str:
    """Read a file that must be UTF-8 text. A byte order mark goes, and all line ends become one.

    Raises RejectedError with the place of the first thing that is no text.
    """
    if len(data) > limit:
        problem = Problem(
            f"the file is larger than {limit // 1024} KiB", "a task file holds text; name large files in it"
        )
        raise RejectedError(file, (problem,))
    text = data if isinstance(data, str) else _decode(data, file)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    at = find_control(text)
    if at is not None:
        message = f"the file holds an invisible control character, {describe_character(text[at])}"
        raise RejectedError(file, (_problem_at(text, at, message, "delete it"),))
    return text


def is_marked(data: bytes) -> bool:
    """Say whether a text says itself that it is in an encoding in which every other byte may be NUL."""
    return data.startswith(tuple(_MARKS))


def decode_anyhow(data: bytes) -> str:
    """Read bytes that must not be refused: what is not understood is replaced."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return clean_text(data.decode(encoding, "replace").removeprefix("\ufeff"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Where nothing beyond ASCII is UTF-8, it was saved in the one-byte encoding of an older program on Windows.
        one_byte = data.decode("utf-8", "ignore").isascii()
        text = data.decode("cp1252" if one_byte else "utf-8-sig", "replace")
    return clean_text(text)


def without_end_mark(text: str) -> tuple[str, bool]:
    """Take off a last line that is a single `.`: its writer's way of saying "I am done"."""
    above, _, last = text.rstrip().rpartition("\n")
    return (above, True) if last.strip() == "." else (text, False)


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"


def _decode(data: bytes, file: str) -> str:
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            raise RejectedError(file, (Problem(f"the file is {encoding}, not UTF-8", _SAVE_AS_UTF8, line=1),))
    if data.endswith(b"\0") and b"\0" not in (whole := data.rstrip(b"\0")):
        what = "ends in NUL bytes" if whole else "holds nothing but NUL bytes"
        advice = "it was cut off while it was copied or synced; drop it again"
        raise RejectedError(file, (Problem(f"the file {what}", advice, line=whole.count(b"\n") + 1),))
    # Text in a two-byte encoding without its mark shows as every other byte being NUL, and hardly one between them.
    fewer, more = sorted((data[::2].count(0), data[1::2].count(0)))
    if more * 3 > len(data) and fewer * 10 < more:
        raise RejectedError(file, (Problem("the file looks like UTF-16, not UTF-8", _SAVE_AS_UTF8, line=1),))
    if data.count(0) * 10 > len(data) > _A_LINE:
        raise RejectedError(file, (_NO_TEXT,))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise RejectedError(file, (_NO_TEXT,)) from None
        message = f"the file is not UTF-8: byte 0x{data[error.start]:02X} (byte {error.start + 1} of the file)"
        # A letter of a western one-byte encoding is by far the likeliest reason.
        letter = data[error.start : error.start + 1].decode("cp1252", "replace")
        message += f" would be “{letter}” in Latin-1" if letter.isalpha() else " fits nothing"
        text, at = data.decode(errors="replace"), len(data[: error.start].decode())
        raise RejectedError(file, (_problem_at(text, at, message, _SAVE_AS_UTF8),)) from None


def _problem_at(text: str, at: int, message: str, advice: str) -> Problem:
    above = text[:at].replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff").split("\n")
    column = len(above[-1]) + 1
    rest = re.split(r"[\r\n]", text[at:], maxsplit=1)[0]
    return Problem(message, advice, len(above), column, excerpt(above[-1] + rest, column))
