"""Standard output of the headless commands, which may be a pipe that nobody reads any more."""

from __future__ import annotations

import codecs
import io
import locale
import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from typing import Final

from ugro_tui.core.ascii import in_ascii


class ReaderGone(Exception):
    """The reader of our output has gone, as `| head -1` does: nothing is wrong, and nothing is left to do."""


LIKENESS: Final = "ugro-likeness"
"""How text is encoded for who cannot read all of it: in what is most like it in ASCII."""


def prepare() -> None:
    """A terminal that cannot show a character gets one that is like it instead of an error."""
    codecs.register_error(LIKENESS, _likeness)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=LIKENESS)


def _likeness(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return in_ascii(error.object[error.start : error.end]), error.end


def only_ascii(*, asked: bool | None) -> bool:
    """Whether a terminal gets ASCII alone: as it was `asked`, else where its locale is of another encoding than UTF-8.

    What no terminal reads is not asked about: Python writes it as UTF-8, where the locale does not name an encoding.
    """
    if asked is not None:
        return asked
    return sys.stdout.isatty() and "utf" not in locale.getencoding().lower()


def speak_ascii() -> None:
    """Write ASCII alone from now on."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="ascii", errors=LIKENESS)


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
