"""What nodes sent, made fit for a file that a person reads, and for Markdown."""

from __future__ import annotations

import json
import re

from ugro_tui.core.text import visible

_COLOURS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_MARKUP = re.compile(r"([\\`*\[\]<>|&])")
_TICKS = re.compile("`+")


def lines_of(text: str) -> list[str]:
    """The lines of a log as a terminal would have left them: without colours, of a progress bar its last state."""
    lines = text.rstrip("\n").split("\n") if text.strip() else []
    return [visible(_COLOURS.sub("", line.rstrip("\r").rpartition("\r")[2])) for line in lines]


def block_of(text: str) -> str:
    """The same, as one text that ends in a newline."""
    return "".join(f"{line}\n" for line in lines_of(text))


def json_of(text: str) -> str:
    """A JSON document in ASCII, indented; what is none is shown as text."""
    try:
        return json.dumps(json.loads(text), indent=2) + "\n"
    except (ValueError, RecursionError):
        return block_of(text)


def inline(text: str, limit: int = 300) -> str:
    """Text within a line of Markdown: nothing in it is markup."""
    return _MARKUP.sub(r"\\\1", visible(text, limit))


def fenced(lines: list[str]) -> list[str]:
    """Lines as a block of Markdown that none of them can end."""
    longest = max((len(ticks) for line in lines for ticks in _TICKS.findall(line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *lines, fence]
