"""The order of jobs, as their list shows them: by how it was sorted and filtered last, whether it is open or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ugro_tui.core.snapshot import Snapshot
from ugro_tui.ui.arrangement import Arrangement
from ugro_tui.ui.job_columns import FIELDS, OLDER, JobLine, job_lines

LIST: Final = "jobs"
"""The name of the screen that is the list."""


def all_jobs(snapshot: Snapshot, kept: Mapping[str, object]) -> list[str]:
    """The jobs that are read, in the order of the list; also those that its filter hides."""
    return _names(snapshot, {name: value for name, value in kept.items() if name != "filter"})


def shown_jobs(snapshot: Snapshot, kept: Mapping[str, object]) -> list[str]:
    """Those of them that its filter lets pass."""
    return _names(snapshot, kept)


def _names(snapshot: Snapshot, kept: Mapping[str, object]) -> list[str]:
    table: Arrangement[JobLine] = Arrangement(FIELDS)
    table.restore(kept)
    lines = job_lines(snapshot)
    table.show(lines)
    rows = (lines.row(index) for index in table.order.tolist())
    return [row.job_id for row in rows if row.state != OLDER]
