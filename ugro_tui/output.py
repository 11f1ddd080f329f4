"""Standard output of the headless commands, which may be a pipe that nobody reads any more."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import sys
from collections.abc import Iterable


class ReaderGone(Exception):
    """The reader of our output has gone, as `| head -1` does: nothing is wrong, and nothing is left to do."""


def prepare() -> None:
    """A terminal that cannot show a character gets a question mark instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_lines(lines: Iterable[str]) -> None:
    """Write lines of text, and flush.

    Raises:
        ReaderGone: nobody reads them.
    """
    try:
        sys.stdout.writelines(line + "\n" for line in lines)
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def print_json(value: object, *, pretty: bool = False) -> None:
    """Write a value as JSON: on one line, or `pretty` on many; and flush.

    Raises:
        ReaderGone: nobody reads it.
    """
    import orjson

    option = orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if pretty else 0)
    try:
        sys.stdout.buffer.write(orjson.dumps(value, option=option))  # UTF-8, whatever the terminal speaks
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def called() -> str:
    """How a person runs this program: by its name where the shell finds it, else by its path, as after `make demo`."""
    if shutil.which("ugro-tui"):
        return "ugro-tui"
    mine = os.path.relpath(sys.argv[0])
    if os.path.basename(mine) == "ugro-tui":
        return shlex.quote(mine)
    return f"{shlex.quote(sys.executable)} -m ugro_tui"  # argv tells of a module's file, which cannot be run so
