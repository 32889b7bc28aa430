"""The entry point: one funnel for everything that can go wrong, and its exit code."""

from __future__ import annotations

import sys
import traceback

from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.names import printable

_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h
_INTERRUPTED = 130


def main() -> int:
    """Run the command line; expected errors are one line, unexpected ones a report."""
    try:
        from dropbox_runner.cli.app import run  # noqa: PLC0415 - inside the funnel: an install that is broken says so

        run(sys.argv[1:])
    except RunnerError as error:
        # A name that the shell has completed may hold anything; what is printed must not steer the terminal.
        sys.stderr.write("\n".join(map(printable, f"dropbox-runner: {error}".split("\n"))) + "\n")
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # `dropbox-runner status | head`: nobody is left to tell. Keep Python from complaining when it flushes.
        sys.stdout = None
        return 1
    except OSError as error:
        sys.stderr.write(
            f"dropbox-runner: {error.strerror or error}{f': {error.filename}' if error.filename else ''}\n"
        )
        return 1
    except Exception:  # noqa: BLE001 - the last resort; everything expected has a class of its own
        traceback.print_exc()
        sys.stderr.write("dropbox-runner: this is a bug in dropbox-runner; please report it with the lines above.\n")
        return _UNEXPECTED


if __name__ == "__main__":
    sys.exit(main())
