"""Job ids: the one rule for what may name a job, and so a directory."""

from __future__ import annotations

import re

from ugro_tui.core.errors import BadInput
from ugro_tui.core.text import visible

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def is_job_id(text: str) -> bool:
    """Whether `text` may name a job (protocol v1): a letter or digit, then at most 63 of letters, digits, `._-`."""
    return _JOB_ID.fullmatch(text) is not None


def checked_job_id(text: str) -> str:
    """`text` itself when it may name a job.

    Raises:
        BadInput: it may not; the message says what may.
    """
    if not isinstance(text, str) or not is_job_id(text):
        job, _, attempt = str(text).partition("#")
        if is_job_id(job) and attempt.isdecimal():
            raise BadInput(
                f"{visible(text, 80)!r} names an attempt, which only compare tells apart (compare {job}#1 {job}#2): "
                f"for the newest attempt write {job}"
            )
        raise BadInput(
            f"{visible(str(text), 80)!r} is not a job id: use 1 to 64 letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit"
        )
    return text
