"""How grave a line of a log is, told by the usual formats: Python's logging, glog, NCCL, warnings, exceptions."""

from __future__ import annotations

import re
from enum import IntEnum

LOOKED_AT = 200
"""Characters of a line that can tell its level: formats name it near the beginning."""


class Level(IntEnum):
    """What a line says of itself; `NONE` where it does not."""

    NONE = 0
    DEBUG = 1
    INFO = 2
    WARNING = 3
    ERROR = 4
    CRITICAL = 5

    @property
    def word(self) -> str:
        """Its name for machines: empty where there is none."""
        return self.name.lower() if self else ""


TRACEBACK = "Traceback (most recent call last)"

_WORDS = {
    "CRITICAL": Level.CRITICAL, "FATAL": Level.CRITICAL, "ERROR": Level.ERROR, "WARNING": Level.WARNING,
    "WARN": Level.WARNING, "INFO": Level.INFO, "DEBUG": Level.DEBUG, "TRACE": Level.DEBUG, "VERBOSE": Level.DEBUG,
    "I": Level.INFO, "W": Level.WARNING, "E": Level.ERROR, "F": Level.CRITICAL,
}  # fmt: skip

# The first that a line has tells: `[INFO] 0 ERROR` is information. glog: `E0516 09:12:33.123456 …`, `[E516 …`.
_NAMED = re.compile(
    r"(?<![\w'\"/.-])(CRITICAL|FATAL|ERROR|WARNING|WARN|INFO|DEBUG|TRACE|VERBOSE)(?![\w'\"/=-])"
    r"|^\[?([IWEF])(?=\d{3,4} \d\d:\d\d:\d\d)"
)
_BEGINS = re.compile(
    r"Traceback \(most recent call last\)"
    r"|(?:[A-Za-z_]\w*\.)*(?:[A-Z]\w*)?(?:Error|Exception|ExceptionGroup|KeyboardInterrupt|SystemExit)(?::|$| \()"
    r"|(?:fatal )?error: |fatal: |Fatal Python error|Segmentation fault|terminate called|CUDA error: "
    r"|\*\*\* Aborted|Aborted \(core"
)
_WARNS = re.compile(r"\b[A-Z]\w*Warning: |^warning: ", re.ASCII)

SUSPECT = re.compile(
    rb"ERROR|CRITICAL|FATAL|Error|Exception|Traceback|KeyboardInterrupt|SystemExit|error: |fatal|Fatal|Segmentation"
    rb"|terminate called|CUDA error|Aborted|E\d{3,4} \d\d:|F\d{3,4} \d\d:"
)
"""Every line of level ERROR or above holds one of these: whole files are searched for them, as that is cheap."""


def level_of(text: str) -> Level:
    """The level of a line, given without a rank's prefix and without its time."""
    named = _NAMED.search(text, 0, LOOKED_AT)
    if named:
        return _WORDS[named.group(1) or named.group(2)]
    if _BEGINS.match(text):
        return Level.ERROR
    return Level.WARNING if "arning: " in text and _WARNS.search(text) else Level.NONE
