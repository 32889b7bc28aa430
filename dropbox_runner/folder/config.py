"""The settings file: config.yaml in the user's own configuration folder, never in the watched one."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dropbox_runner.core.durations import DurationError
from dropbox_runner.core.errors import RefusedError, RejectedError
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.yamltext import Document, read_yaml
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import config_file
from dropbox_runner.folder.trust import check_place


def load_settings(path: Path | None = None, overrides: Mapping[str, object] | None = None) -> Settings:
    """Read the settings file (a named one must exist) and lay the command line's options over it.

    RefusedError when it cannot be understood, or when others could put another in its place: a daemon with settings
    that nobody meant must not start.
    """
    file = path or config_file()
    document = _document(path)
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    try:
        settings = Settings.model_validate({**document.value, **given})
    except ValidationError as error:
        raise RefusedError("\n".join(_in_words(document, str(file), given, one) for one in error.errors())) from error
    if file.exists():
        check_place(file, settings.trusted_group)
    return settings


def _document(path: Path | None) -> Document:
    file = path or config_file()
    try:
        return read_yaml(durable.read(file), file=str(file), empty_ok=True, example="`max_parallel: 2`")
    except FileNotFoundError:
        if path is not None:
            raise RefusedError(f"there is no settings file {path}") from None
        return Document(value={})
    except RejectedError as error:
        raise RefusedError(str(error)) from error
    except durable.UnreadableError as error:
        raise RefusedError(f"the settings file {file} {error.reason}") from error
    except OSError as error:
        raise RefusedError(f"{file} cannot be read: {error.strerror}") from error


def _in_words(document: Document, file: str, options: Mapping[str, object], error: ErrorDetails) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "tuple_type":
        return document.problem((name,), f"{name}: must be a list", f"write `{name}: [one, another]`").render(file)
    cause = error.get("ctx", {}).get("error")
    text = str(cause) if cause is not None else error["msg"]
    if name in options:
        return f"--{name.replace('_', '-')}: {text}"
    if error["type"] == "extra_forbidden":
        near = get_close_matches(name, Settings.model_fields, n=1)
        advice = f"did you mean `{near[0]}`?" if near else f"known settings: {', '.join(sorted(Settings.model_fields))}"
        return document.problem((name,), f"unknown setting `{name}`", advice, key=True).render(file)
    advice = cause.advice if isinstance(cause, DurationError) else ""
    return document.problem((name,), f"{name}: {text}", advice).render(file)
