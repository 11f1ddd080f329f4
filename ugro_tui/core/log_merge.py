"""The logs of many ranks as one: in the order of time where lines tell it, and what several ranks say told once."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ugro_tui.core.log_blocks import Said, folded, grown, joined, unfolded, what_is_said
from ugro_tui.core.log_level import Level
from ugro_tui.core.log_lines import LogLine

NEAR_LINES, NEAR_SECONDS = 400, 5.0
"""How far apart ranks may say the same and it is told once: lines of the whole, seconds where both tell the time."""

SILENT_SECONDS = 600.0

OPEN_LINES = 4_000
"""Newest lines that those of other ranks, which come later, may still go between."""

Keyed: TypeAlias = tuple[float, Said]
"""A line or a block of lines, and its time: what it tells, or what is known of it; NaN where nothing is."""


class LogMerge:
    """What ranks said, in one order, which keeps that of each rank. Lines are added as they come.

    At most `most` lines are kept, the newest.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._settled: list[LogLine] = []
        self._open: dict[int, list[Keyed]] = {}
        self._since: dict[int, float] = {}
        self._newest = math.nan
        self.dropped = 0

    def add(self, told: Mapping[int, Sequence[LogLine]]) -> None:
        """Take in what these ranks said since: what tells no time was said after all that was known before."""
        news = {rank: self._blocks(rank, lines) for rank, lines in told.items() if lines}
        waiting = sum(map(len, self._open.values()))
        if waiting and any(news.values()) and math.isnan(self._newest):
            self._settle(waiting, 0)
        keyed = {rank: self._keyed(rank, lines) for rank, lines in news.items() if lines}
        if math.isnan(self._newest):
            _last_errors_last(keyed)
        for rank, pairs in keyed.items():
            self._open.setdefault(rank, []).extend(pairs)
            self._since[rank] = pairs[-1][0]
        self._newest = max((time for time in self._since.values() if time == time), default=math.nan)
        count = sum(map(len, self._open.values()))
        if count > 2 * OPEN_LINES:
            self._settle(count, OPEN_LINES)

    def _blocks(self, rank: int, lines: Sequence[LogLine]) -> list[Said]:
        """The lines of a rank that are new, in blocks. One that had begun before goes on: where nothing tells the time
        it counts as new, else it stays in its place."""
        last = self._open.get(rank)
        if not last or not lines[0].goes_on:
            return folded(lines)
        more = next((place for place, line in enumerate(lines) if not line.goes_on), len(lines))
        time, said = last.pop()
        block, rest = grown(said, lines[:more]), folded(lines[more:])
        if math.isnan(self._newest):
            return [*block, *rest]
        last.extend((time, part) for part in block)
        return rest

    def _keyed(self, rank: int, lines: Sequence[Said]) -> list[Keyed]:
        """The lines of a rank with their times; of the first ones, what is known by when they came."""
        came = math.nextafter(self._newest, math.inf)
        first = next((line.time for line in lines if line.time == line.time), came)
        known = [time for time in (self._since.get(rank, math.nan), min(came, first)) if time == time]
        return _paced(lines, max(known, default=math.nan))

    def lines(self, halves: Mapping[int, LogLine] | None = None) -> tuple[LogLine, ...]:
        """All lines; behind them those of `halves`, which have no end yet."""
        unfinished = {rank: [half] for rank, half in (halves or {}).items()}
        return (*self._settled, *unfolded(_merged(self._open)), *merged(unfinished))

    def _settle(self, count: int, left: int) -> None:
        """Have the older of `count` open lines be as they are from now on, all but `left` of them."""
        whole = _merged(self._open)
        older = whole[: max(1, len(whole) * (count - left) // count)]
        said: dict[int, int] = {}
        for line in older:
            for rank in line.ranks:
                said[rank] = said.get(rank, 0) + 1
        self._open = {rank: pairs[said.get(rank, 0) :] for rank, pairs in self._open.items()}
        self._settled += unfolded(older)
        surplus = len(self._settled) - self._most
        if surplus > 0:
            self.dropped += surplus
            del self._settled[:surplus]


def merged(logs: Mapping[int, Sequence[LogLine]]) -> list[LogLine]:
    """The lines of all ranks in one order."""
    keyed = {rank: _paced(folded(lines), math.nan) for rank, lines in logs.items() if lines}
    _last_errors_last(keyed)
    return list(unfolded(_merged(keyed)))


def _merged(logs: Mapping[int, Sequence[Keyed]]) -> list[Said]:
    logs = {rank: logs[rank] for rank in sorted(logs) if logs[rank]}
    if len(logs) == 1:
        return [line for pairs in logs.values() for _, line in pairs]
    parts = {rank: _parted(pairs) for rank, pairs in logs.items()}
    found = _once(sorted((pair for _, timed in parts.values() for pair in timed), key=_time))
    for rank, (untimed, timed) in parts.items():
        if untimed:
            own = next((place for place, line in enumerate(found) if rank in line.ranks), len(found))
            end = own if timed else _last_errors(found, untimed)
            found = [*_fitted(found[:end], untimed, last=not timed), *found[end:]]
    return found


def _time(pair: Keyed) -> float:
    return pair[0]


def _last_errors(found: Sequence[Said], others: Sequence[Said]) -> int:
    """Where the errors begin that `found` ends with; its end where the others say them too, or end with others."""
    end = len(found)
    if not found or found[-1].level < Level.ERROR or others[-1].level >= Level.ERROR:
        return end
    said = {what_is_said(line) for line in others}
    while end and found[end - 1].level >= Level.ERROR and what_is_said(found[end - 1]) not in said:
        end -= 1
    return end


def _parted(pairs: Sequence[Keyed]) -> tuple[list[Said], list[Keyed]]:
    """The lines of a rank of which no time is known, which go in between by their place, and those that have one.

    Lines before the first that tells its time have that time. One that was only given a time, as it came late or is the
    error at the end, says nothing of when those before it were said.
    """
    count = next((place for place, (time, _) in enumerate(pairs) if time == time), len(pairs))
    if not count or count == len(pairs) or math.isnan(pairs[count][1].time):
        return [line for _, line in pairs[:count]], list(pairs[count:])
    first = pairs[count][0]
    return [], [*((first, line) for _, line in pairs[:count]), *pairs[count:]]


def _paced(lines: Sequence[Said], since: float) -> list[Keyed]:
    """Each line with its time, that of the line before where it tells none; `since`: that of the line before all.

    It never steps back, so that the order within a rank stays.
    """
    now = since
    found: list[Keyed] = []
    for line in lines:
        if line.time > now or now != now:
            now = line.time
        found.append((now, line))
    return found


def _last_errors_last(logs: Mapping[int, list[Keyed]]) -> None:
    """Errors without a time that a rank ends with come behind all, where it was silent for `SILENT_SECONDS` before.

    Many ranks are silent while all goes well: the last time that they told is not when they failed.
    """
    newest = max((time for pairs in logs.values() for time, _ in pairs[-1:] if time == time), default=math.nan)
    for pairs in logs.values():
        if newest - pairs[-1][0] <= SILENT_SECONDS:
            continue
        place = len(pairs)
        while place and pairs[place - 1][1].level >= Level.ERROR and math.isnan(pairs[place - 1][1].time):
            place -= 1
        pairs[place:] = [(newest, line) for _, line in pairs[place:]]


def _once(keyed: Sequence[Keyed]) -> list[Said]:
    """What ranks said within `NEAR_SECONDS` of each other is told once, where it was said first."""
    found: list[Said] = []
    others: dict[int, list[Said]] = {}
    seen: dict[str, tuple[int, float]] = {}
    reached: dict[int, int] = {}
    for now, line in keyed:
        said = what_is_said(line)
        place, since = seen.get(said, (-1, -math.inf))
        near = now - since <= NEAR_SECONDS and len(found) - place <= NEAR_LINES
        if near and place > reached.get(line.ranks[0], -1):
            others.setdefault(place, []).append(line)
        else:
            place = len(found)
            seen[said] = (place, now)
            found.append(line)
        reached[line.ranks[0]] = place
    for place, same in others.items():
        found[place] = joined(found[place], same)
    return found


def _fitted(found: Sequence[Said], lines: Sequence[Said], *, last: bool) -> list[Said]:
    """The lines of a rank that tells no time, told once where others said the same, and in between by their place."""
    places: dict[str, list[int]] = {}
    for place, line in enumerate(found):
        places.setdefault(what_is_said(line), []).append(place)
    whole: list[Said] = []
    alone: list[Said] = []
    reached = 0
    for line in lines:
        same = _next(places.get(what_is_said(line), ()), reached)
        if same is None:
            alone.append(line)
            continue
        between = found[reached:same]
        fails = line.level >= Level.ERROR
        whole += [*(_backwards(between, alone) if fails else _interleaved(between, alone)), joined(found[same], [line])]
        reached, alone = same + 1, []
    return whole + _interleaved(found[reached:], alone, last=last)


def _next(places: Sequence[int], begin: int) -> int | None:
    """The first of the places from `begin` on, if it is near."""
    index = bisect_left(places, begin)
    return places[index] if index < len(places) and places[index] - begin <= NEAR_LINES else None


def _interleaved(some: Sequence[Said], others: Sequence[Said], *, last: bool = False) -> list[Said]:
    """Both in one order: the middle of the one is beside the middle of the other.

    `last`: nothing comes behind, so that their ends are beside each other too: ranks end together, above all by errors.
    """
    if not some or not others:
        return [*some, *others]
    if last and min(some, others, key=len)[-1].level >= Level.ERROR:
        return _backwards(some, others)
    placed = [((index + last) / len(lines), line) for lines in (some, others) for index, line in enumerate(lines)]
    return [line for _, line in sorted(placed, key=lambda pair: pair[0])]


def _backwards(some: Sequence[Said], others: Sequence[Said]) -> list[Said]:
    """Both in one order, counted from their ends: what is said last before an error is about that error."""
    placed = [(index - len(lines), line) for lines in (some, others) for index, line in enumerate(lines)]
    return [line for _, line in sorted(placed, key=lambda pair: pair[0])]
