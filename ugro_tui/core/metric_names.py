"""What can be drawn of a job, by name: what its records hold, its own metrics, and the tags of its event files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ugro_tui.core.columns import GPU_FIELDS, PHASE_FIELDS, Column

OWN: Final = "metrics."
"""Before the names that a training script gives to its own numbers."""

EVENTS: Final = "events:"
"""Before a tag of an event file that would be taken for something else without it."""

_PARTS: Final = {"": ("loss", "lr", "grad_norm", "throughput", "step_time"), "phases": PHASE_FIELDS, "gpu": GPU_FIELDS}

RECORD_PATHS: Final[dict[str, tuple[str, str]]] = {
    f"{part}.{field}" if part else field: (part, field) for part, fields in _PARTS.items() for field in fields
}
"""What a record may hold, by name: the object that it lies in (empty: the record itself), and its field there."""

_VALIDATION: Final = re.compile(
    r"(?i)(^|[^a-z])(val(id(ation)?)?|eval(uation)?|test)([^a-z]+|_)loss$|loss[/_.](val|eval)"
)

RECORD_COLUMNS: Final[dict[str, Column]] = {
    name: Column[f"GPU_{field.upper()}" if part == "gpu" else field.upper()]
    for name, (part, field) in RECORD_PATHS.items()
}


def record_path(metric: str) -> tuple[str, str] | None:
    """Where in a record a metric lies, as in `RECORD_PATHS`; None where it is a tag of event files."""
    if metric.startswith(OWN):
        return "metrics", metric.removeprefix(OWN)
    return RECORD_PATHS.get(metric)


def metric_of_tag(tag: str) -> str:
    """The name of a tag: itself, unless records have the same name."""
    taken = record_path(tag) is not None or tag.startswith(EVENTS)
    return f"{EVENTS}{tag}" if taken else tag


def tag_of(metric: str) -> str:
    """The tag that has this name."""
    return metric.removeprefix(EVENTS)


def validation_loss(names: Iterable[str]) -> str | None:
    """Which of a script's own metrics is its loss on data that it does not train on; None where none is called so."""
    return min((name for name in names if _VALIDATION.search(name)), key=len, default=None)


def ordered(
    records: Iterable[str], own: Iterable[str], tags: Iterable[str], before: Iterable[str] = ()
) -> tuple[str, ...]:
    """The names of metrics: of records in the order of `RECORD_PATHS`, then the script's own, then tags, by name.

    A tag that is called as what records tell is the same series: the records' name stands for both, for they have its
    times, tokens and attempts as well. The tag can still be asked for, as `events:TAG`. `before`: what the script told
    once, in points that do not count any more; neither do those of the tag.
    """
    found = set(records)
    told = [*(name for name in RECORD_PATHS if name in found), *sorted({f"{OWN}{name}" for name in own})]
    doubled = {*told, *(name.removeprefix(OWN) for name in told), *before}
    return (*told, *sorted(metric_of_tag(tag) for tag in {*tags} - doubled))
