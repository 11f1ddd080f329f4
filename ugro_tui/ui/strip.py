"""The strip at the bottom: nodes, sync, TensorBoard, what is missing, keys; as much of it as there is room for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from textual.content import Content

from ugro_tui.core.numbers import age, compact
from ugro_tui.core.snapshot import JobView, NodeSync, Snapshot, SyncView
from ugro_tui.ui import nodes
from ugro_tui.ui.launch_text import brief

NARROW = 100
"""Cells below which the parts are said in fewer words."""

KEYS = ("   ? help  : jump", "   ? help", "")
"""What stands at the end where no line of keys is below."""

_BAR = " │ "
_LEAST_NODES = 22
"""Cells that stay for the nodes whatever else there is to say: enough for how many are well."""
_LEAST_NOTICE = 20
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Errands:
    """What the user has asked for and was not answered: a sync, a diagnosis. `board`: TensorBoard's state."""

    syncing: bool = False
    board: str = ""
    diagnosing: bool = False


def strip(
    snapshot: Snapshot, view: JobView | None, errands: Errands, width: int, elapsed: float, *, keys: bool = True
) -> Content:
    """The line, at most `width` cells wide. `elapsed`: seconds since the snapshot; `keys`: say how to get help."""
    parts = _fitting(list(_under_way(snapshot, errands, short=width < NARROW)), width - _LEAST_NODES)
    needed = 1 + nodes.needed(snapshot.nodes, elapsed) + len(KEYS[1])
    parts += _standing(snapshot, view, errands, elapsed, width, width - max(_LEAST_NODES, needed) - _length(parts))
    room = width - 1 - _length(parts)
    known = nodes.line(snapshot.nodes, max(_LEAST_NODES, room - len(KEYS[1])), elapsed)
    room -= known.cell_length
    notice = _notice(snapshot, view, room - len(KEYS[1]))
    said = Content(_BAR).join([part for part in (known, *parts, notice) if part.plain])
    room = width - 1 - said.cell_length
    hint = next(hint for hint in (KEYS if keys else ("",)) if len(hint) <= room or not hint)
    return Content.assemble(" ", said, (hint, "$text-muted"))


def _length(parts: list[Content]) -> int:
    return sum(part.cell_length + len(_BAR) for part in parts)


def _fitting(parts: list[Content], room: int) -> list[Content]:
    """The first of `parts` that fit."""
    while parts and _length(parts) > room:
        parts = parts[:-1]
    return parts


def _under_way(snapshot: Snapshot, errands: Errands, *, short: bool) -> Iterator[Content]:
    """What the user waits for."""
    sync, launch = snapshot.sync, snapshot.launch
    if launch is not None and launch.going:
        yield Content.styled(brief(launch, short=short), "$accent")
    if errands.diagnosing:
        yield Content.styled("diagnosing …", "$accent")
    if sync is not None and not sync.done:
        yield Content.styled(_progress(sync, short=short), "$accent")
    elif errands.syncing:
        yield Content.styled("sync asked for …", "$accent")


def _standing(
    snapshot: Snapshot, view: JobView | None, errands: Errands, elapsed: float, width: int, room: int
) -> list[Content]:
    """What is good to know once the nodes in trouble are named: in fewer words, then less of it, if room is short."""
    told = snapshot.sync is not None and snapshot.sync.done and not snapshot.sync.stale and not errands.syncing
    sync = snapshot.sync if told else None
    missing = 0 if view is None else view.summary.missing
    parts: list[Content] = []
    for short in (width < NARROW, True):
        parts = [_synced(sync, elapsed, short=short)] if sync is not None else []
        if errands.board:
            parts.append(Content.styled(f"{'TB' if short else 'TensorBoard'} {errands.board}", "$accent"))
        if missing:
            parts.append(Content.styled(f"{missing:,} {'lost' if short else 'records lost or unreadable'}", "$warning"))
        if _length(parts) <= room:
            break
    return _fitting(parts, room)


def _notice(snapshot: Snapshot, view: JobView | None, room: int) -> Content:
    """The first notice, one of the shown job if there is one; all of them are in the alerts pane."""
    room -= len(_BAR)
    if not snapshot.notices or room < _LEAST_NOTICE:
        return Content()
    mine = f": {view.job_id}: " if view is not None else ""
    notice = min(snapshot.notices, key=lambda notice: mine not in notice)
    return Content.styled(notice, "$warning").truncate(room, ellipsis=True)


def _synced(sync: SyncView, elapsed: float, *, short: bool) -> Content:
    failed = [node.node for node in sync.nodes if node.error]
    when = f"synced {age(sync.age + elapsed)} ago"
    if not failed:
        return Content.styled(when, "$text-muted")
    more = f" +{len(failed) - _NAMED}" if len(failed) > _NAMED else ""
    names = f"failed: {', '.join(failed[:_NAMED])}{more}"
    if len(failed) == len(sync.nodes):
        return Content.styled(f"✖ sync {names}" if not short else "✖ sync failed", "$error")
    return Content.styled(f"⚠ {when}, {f'{len(failed)} failed' if short else names}", "$warning")


def _progress(sync: SyncView, *, short: bool) -> str:
    files = sum(node.files for node in sync.nodes)
    ready = sum(node.done for node in sync.nodes)
    word = "file" if files == 1 else "files"
    of = f" · {ready}/{len(sync.nodes)}{'' if short else ' nodes'}" if len(sync.nodes) > 1 else ""
    return f"syncing {files:,} {word} {_size(sum(node.bytes for node in sync.nodes))}{of}"


def _size(count: float) -> str:
    """A number of bytes: `950 B`, `3.4 MB`."""
    number = compact(count)
    return f"{number[:-1]} {number[-1]}B" if number[-1].isalpha() else f"{number} B"


def sync_sentences(snapshot: Snapshot) -> list[Content]:
    """Why a sync of late did not bring everything, node by node; not what is said of the node itself."""
    if snapshot.sync is None or snapshot.sync.stale:
        return []
    said = {node.error for node in snapshot.nodes}
    return [sentence for part in snapshot.sync.nodes for sentence in _sync_sentences(part, said)]


def _sync_sentences(part: NodeSync, said: set[str]) -> Iterator[Content]:
    denied = [f"may not be read: {path}" for path in part.denied]
    for why in [part.error.removeprefix(f"{part.node}: "), *denied] if part.error not in said else denied:
        yield Content.assemble((f"⚠ sync of {part.node}", "bold $warning"), f"  {why}")


def port(url: str) -> str:
    """`:6006` of a URL, as little as is needed to find it again."""
    found = re.search(r":\d+(?=/|$)", url)
    return found.group() if found else "open"
