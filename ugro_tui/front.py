"""The front door: `ugro-tui`. What opens the screens is read here; every other command by typer.

typer brings pydantic with the first option that it reads: together a sixth of the time to the first picture.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ugro_tui.core.errors import UgroError
from ugro_tui.opening import configured, hoisted, opened
from ugro_tui.output import ReaderGone, prepare

EXIT_UNWELL, EXIT_INTERRUPTED = 1, 130


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    prepare()
    try:
        _run(hoisted(sys.argv[1:] if argv is None else argv))
    except UgroError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except ReaderGone:
        _forget_output()
        sys.exit(0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO):
            raise
        _forget_output()
        _complain(f"the output could not be written: {error.strerror}: give it another place")
        sys.exit(EXIT_UNWELL)


def _run(argv: list[str]) -> None:
    opening = opened(argv)
    if opening is None:
        from ugro_tui.cli import app

        app(argv, prog_name="ugro-tui", standalone_mode=True)
    else:
        from ugro_tui.cli_screens import show

        flags = {name.removeprefix("--").replace("-", "_"): value for name, value in opening.options.items()}
        file = flags.pop("config", None)
        show(configured(flags, None if file is None else Path(str(file)), opening.refresh), opening.job)


def _forget_output() -> None:
    """Let what is flushed at the exit go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> None:
    print(f"ugro-tui: {message}", file=sys.stderr)
