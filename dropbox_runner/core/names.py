"""Which names in the folder mean something, and what the folder of a task is called.

The patterns come from the programs' own sources and from what they were seen to do (editors, sync tools, browsers,
desktops). The rule of thumb behind them: what starts with `.` `~` `#` or ends with `~` `#` belongs to a program.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum, auto
from pathlib import PurePosixPath
from typing import assert_never

from dropbox_runner.core.states import State

TASK_SUFFIXES = (".yaml", ".yml", ".md", ".markdown", ".txt")
CANCEL = "cancel"
TASK_FILES = tuple(f"task{suffix}" for suffix in TASK_SUFFIXES)
_STATES = frozenset(state.value for state in State)
_LONGEST = 100
"""Bytes in the name of a task's folder: leaves room for `-12`, and for what sync tools add, in 255 bytes."""

_TEMPORARY = re.compile(
    r"""
      ^[.~\#]                       # hidden, Syncthing's ~syncthing~, Office's ~$, emacs' #name# and .#name
    | [~\#]$                        # backups of vim, emacs, nano
    | ^4913$                        # vim probes whether it may write here
    | ^sed[A-Za-z0-9]{6}$           # sed -i
    | ^tmp[a-z0-9_]{8}$             # Python's tempfile, as programs that write "atomically" use it
    | \.(tmp|temp|part|partial|filepart|incomplete|unfinished|crdownload|crswap|download|opdownload|aria2|!ut|!qb)$
    | \.(bts|rsls|rslsc|rslsf|vsctmp|ffs_tmp|pcloudtmp|gstmp|gdtmp|new|lock|sw[a-px]|kate-swp|bak|orig|rej|old)$
    | \.tmp[.-][\w.-]+$             # name.tmp.PID.TIME
    | \.(ya?ml|md|markdown|txt|json)\.([A-Za-z0-9]{6}|\d+)$  # Qt (Kate, KWrite) and node save through such a name
    | \.~[0-9a-f]+$                 # Nextcloud
    | \.sb-[0-9a-f]{8}-\w{6}$       # macOS, saving on a network share
    | !sync$                        # Resilio
    | ___jb_(tmp|old|bak)___$       # JetBrains' safe write
    | ^\(A\ Document\ Being\ Saved\ By\ .*\)
    | ^(Thumbs\.db|ehthumbs(_vista)?\.db|desktop\.ini|Icon\r)$
    | ^(__MACOSX|\$RECYCLE\.BIN|System\ Volume\ Information|lost\+found|Network\ Trash\ Folder|Temporary\ Items)$
    | ^(@eaDir|@Recycle|@Recently-Snapshot|@SynoResource|RECYCLER|RECYCLED)$  # what was deleted on network storage
    | (:Zone\.Identifier|:com\.dropbox\.\w+|:encryptable|@Syno(EAStream|Resource))$
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PARTIAL = re.compile(
    r"""
      ^(\.syncthing\.|~syncthing~).*\.tmp$
    | ^\.(?=[\w.-]*\.[A-Za-z0-9]{6}$)(?![\w.-]*\.([a-z]{6}|[0-9]{6})$).+$  # rsync; not `.config.backup`
    | ^\.unison\..*\.unison\.tmp$
    | \.(part|partial|filepart|crdownload|download|opdownload|aria2|bts|rsls|ffs_tmp|pcloudtmp|icloud)$
    | !sync$
    | \.~[0-9a-f]+$
    | ^\.goutputstream-
    | ^\.pending-\d+-               # Android
    """,
    re.VERBOSE,
)
_CONFLICT = re.compile(
    r"""
      \.sync-conflict-\d{8}-\d{6}   # Syncthing
    | \(.*conflicted\ copy.*\)      # Dropbox, Nextcloud, Obsidian
    | \(.*(in\ Konflikt\ stehende\ Kopie|Konfliktkopie|copie\ en\ conflit).*\)
    | \(.*copia\ (en\ conflicto|conflictiva|in\ conflitto).*\)
    # … and in each of the languages that Dropbox speaks, with a day in it.
    | \((?=[^()]*\d{4}-\d\d-\d\d)[^()]*(confli|konfli|конфл|mo[dt]stridende|競合|冲突|衝突|충돌)
    | \((Case|Selective\ Sync|Unicode(\ Encoding)?|Normalization|Whitespace)\ Conflict.*\)  # Dropbox, Maestral
    | \(case\ clash\ from\ .*\)     # Nextcloud
    | [_.]conflict[-_](.+[-_])?\d{8}[-_]\d{6}  # ownCloud, kDrive
    | \(SFConflict\ .*\)            # Seafile
    | \.Conflict(\.|$)              # Resilio
    | \.conflict\d+(\.|$) | \.\.path[12](\.|$)  # rclone bisync
    | -safeBackup-\d+               # OneDrive client
    | \[Conflict(ed)?\] | _conf\(\d+\)  # Google Drive
    | \(copy:\ conflict.*\ on\ .*\) # Unison
    | _[A-Z][a-z]{2}-\d{2}-\d{4,6}-\d{4}_Conflict  # Synology Drive
    """,
    re.VERBOSE | re.IGNORECASE,
)
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""What Windows keeps for devices: a synced folder of this name never arrives there."""
_DRAFT = re.compile(r"\.draft(\.|$)", re.IGNORECASE)
_OURS = re.compile(r"^(readme|status|pause|seafile-ignore)(\.|$)", re.IGNORECASE)
_LIKE_OURS = re.compile(r"^((?i:readme|status|pause)[\s_-]|(LICENSE|CHANGELOG)([\s._-]|$))")
"""What comes along with a project that is copied here; in small letters a person may well have named a task so."""


class Kind(Enum):
    """What a name in the inbox is to us."""

    TASK = auto()
    CONFLICT = auto()
    """A copy that a sync tool made because two sides had changed a file: never run, never deleted, reported."""
    TEMPORARY = auto()
    """Somebody's half of an operation: nothing to see."""
    LEFT_ALONE = auto()
    """A draft, a readme, one of our own: none of our business, and its owner knows."""
    OTHER = auto()
    """Another kind of file: none of our business either, but whoever dropped it may have meant it for a task."""


def kind_of(name: str) -> Kind:
    """Tell what a file of this name in the inbox is to us."""
    if _TEMPORARY.search(name):
        return Kind.TEMPORARY
    if _CONFLICT.search(name):
        return Kind.CONFLICT
    if _DRAFT.search(name) or _OURS.search(name) or name in _STATES:
        return Kind.LEFT_ALONE
    if _LIKE_OURS.search(name):
        return Kind.OTHER
    return Kind.TASK if PurePosixPath(name).suffix.lower() in TASK_SUFFIXES else Kind.OTHER


def is_partial(name: str) -> bool:
    """Say whether a file of this name is one that is just being brought: what it is a part of is not complete."""
    return _PARTIAL.search(name) is not None


def why_no_task(name: str) -> str | None:
    """Say why a file of this name is never taken as a task; None when it is."""
    match kind_of(name):
        case Kind.TASK:
            return None
        case Kind.CONFLICT:
            return "it is the copy that a sync tool makes of a file that was changed on two sides"
        case Kind.TEMPORARY:
            return "its name is that of a temporary or hidden file"
        case Kind.OTHER if _LIKE_OURS.search(name):
            return "what begins like README, STATUS, PAUSE, LICENSE or CHANGELOG is no task; rename it to run it"
        case Kind.OTHER:
            return f"its name must end in {', '.join(TASK_SUFFIXES)}"
        case Kind.LEFT_ALONE if _DRAFT.search(name):
            return "it is a draft; rename it to run it"
        case Kind.LEFT_ALONE:
            return "files of this name (README, STATUS, PAUSE, LICENSE, CHANGELOG) are left alone"
        case other:
            assert_never(other)


def is_pause(name: str) -> bool:
    """Say whether a file of this name keeps new runs from being started: PAUSE, in any case and with any ending."""
    return name.partition(".")[0].upper() == "PAUSE" and kind_of(name) is Kind.LEFT_ALONE


def is_cancel(name: str) -> bool:
    """Say whether a file of this name calls its task off: `cancel`, in any case and with any ending.

    Phones and some editors do not make files without an ending, and some programs hide the one that they add.
    """
    return name.partition(".")[0].lower() == CANCEL and kind_of(name) in (Kind.TASK, Kind.OTHER)


def folder_name(file: str) -> str:
    """Return the name of the task's folder: the file's, without what shells, terminals and other systems choke on.

    `fix login.yaml` → `fix-login`; a dropped folder keeps its own name. Never empty, never hidden, never a path, never
    one that Windows reserves, at most 100 bytes of UTF-8.
    """
    stem = file.partition("/")[0] if in_folder(file) else PurePosixPath(file).stem if "." in file.lstrip(".") else file
    kept = "".join(char if char.isalnum() or char in "._+@=-" else "-" for char in unicodedata.normalize("NFC", stem))
    name = re.sub(r"-{2,}", "-", kept).strip("-.") or "task"
    while len(name.encode()) > _LONGEST:
        name = name[:-1]
    name = name.rstrip("-.") or "task"
    return f"task-{name}" if _RESERVED.match(name) else name


def is_task_file(name: str) -> bool:
    """Say whether this is the name of a task's file in its folder, or in a folder that was dropped."""
    return name.lower() in TASK_FILES


def in_folder(file: str) -> bool:
    """Say whether this is the task's file of a dropped folder (`report/task.yaml`), and not a file by itself."""
    return "/" in file and is_task_file(file.partition("/")[2])


def same_file(file: str) -> str:
    """Return what two names have in common that mean the same file: an edit may come back under another one.

    A Mac writes `ü` as two characters, and some editors and people turn `.yml` into `.yaml`. Names that differ in case
    are two files, except where their filesystem says otherwise.
    """
    file = unicodedata.normalize("NFC", file)
    if in_folder(file):
        return file.partition("/")[0] + "/"
    stem, _, suffix = file.rpartition(".")
    return f"{stem}.{ {'yml': 'yaml', 'markdown': 'md'}.get(suffix.lower(), suffix.lower()) }"


def alike(name: str) -> str:
    """Return what names have in common that are one name on some filesystem: those that differ in case, or in form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def numbered(name: str, number: int) -> str:
    """Return the number-th name to try: `fix-login`, `fix-login-2`, `fix-login-3` …"""
    return name if number == 1 else f"{name}-{number}"


def readable(name: str) -> str:
    """Return a file's name as it can be written into UTF-8 files: what is no UTF-8 is shown as a hexadecimal escape.

    Two names never read the same: backslashes are doubled, or a name that holds one could pass for such an escape, and
    its file for an edit of the other.
    """
    return name.replace("\\", "\\\\").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    """Return the text on one line, with everything escaped that could steer a terminal or fake a log line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )
