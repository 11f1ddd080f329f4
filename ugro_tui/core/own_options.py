"""Options of a training script that belong to the plan of a launch: which job it is, and where it writes."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Final

from ugro_tui.core.text import visible

JOB, PLACE = "--job-id", "--metrics-dir"

OWN_OPTIONS: Final = (JOB, PLACE)
"""The script is told both by the environment, `UGRO_JOB_ID` and `UGRO_METRICS_DIR`."""


def without_own(words: Sequence[str]) -> tuple[str, ...]:
    """The arguments without these options and their values: in another launch they would mean another job."""
    behind = ("", *words)
    pairs = zip(behind, words, strict=False)
    return tuple(word for before, word in pairs if not {before, word.partition("=")[0]} & set(OWN_OPTIONS))


def other_job(words: Sequence[str], job_id: str) -> str:
    """Why these arguments would have the script write into another job; empty: they would not."""
    named = _value(words, JOB)
    if named in (None, job_id):
        return ""
    return (
        f"{JOB} {visible(str(named), 80)} is another job than {job_id}, whose name the script gets by UGRO_JOB_ID: "
        f"leave {JOB} out of its arguments"
    )


def other_place(words: Sequence[str], root: str, workdir: str) -> str:
    """Why these arguments would have the script write where nobody looks; empty: they would not. Paths are absolute."""
    named = _value(words, PLACE)
    if named is None or (named.startswith("~/") and root.endswith(posixpath.normpath(named[1:]))):
        return ""
    if posixpath.normpath(posixpath.join(workdir, named)) == posixpath.normpath(root):
        return ""
    return (
        f"{PLACE} {visible(named, 200)} is not {visible(root, 200)}, where the job is watched, which the script gets "
        f"by UGRO_METRICS_DIR: leave {PLACE} out of its arguments; another place is named to ugro-tui itself"
    )


def _value(words: Sequence[str], option: str) -> str | None:
    """What an option is given last; None where it is not there."""
    found = None
    for word, behind in zip(words, (*words, "")[1:], strict=True):
        name, sign, value = word.partition("=")
        if name == option:
            found = value if sign else behind
    return found
