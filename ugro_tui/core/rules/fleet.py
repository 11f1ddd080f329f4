"""What is wrong with nodes, whatever runs there: reach, clock, disks, GPUs, and our own looks at them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from operator import is_
from typing import Final

import numpy as np

from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.health import DiskHealth, GpuHealth, NodeHealth
from ugro_tui.core.numbers import duration
from ugro_tui.core.rules.catalogue import DEFAULTS
from ugro_tui.core.rules.hosts import DISK_MINUTES, disk_low, disk_sentence
from ugro_tui.core.rules.look import about_node
from ugro_tui.core.rules.rule import Thresholds
from ugro_tui.core.rules.slope import resistant_slope
from ugro_tui.core.snapshot import NodeView
from ugro_tui.core.states import NodeState

_ASKED: Final = (NodeState.OK, NodeState.SILENT, NodeState.CONNECTING)
"""States in which a node is asked at every interval."""

_DEADLINES: Final = 15.0
"""Seconds that one look may take by its own deadlines: connecting, and the answer."""

_SAMPLE_SECONDS: Final = 60.0


class FleetWatch:
    """Watches the nodes: keeps since when each thing is so. `interval`: seconds between two looks at a node."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._since: dict[tuple[str, str], float] = {}
        self._well: dict[str, tuple[object, ...]] = {}
        """What nodes told last in which nothing is wrong."""
        self._free: dict[tuple[str, str], deque[tuple[float, float]]] = {}

    def tick(
        self, nodes: Sequence[NodeView], health: Sequence[NodeHealth], now: float, thresholds: Thresholds = DEFAULTS
    ) -> tuple[Alert, ...]:
        """All alerts about nodes that fire at `now` (monotonic seconds), the worst first."""
        limits = self._limits(thresholds)
        odd = (node for node in nodes if not self._is_calm(node, *limits))
        found = [alert for node in odd for alert in self._of_view(node, now, thresholds)]
        found += [alert for one in health for alert in self._of_health(one, now, thresholds)]
        firing = [alert for alert in found if thresholds.enabled(alert.rule)]
        return tuple(sorted(firing, key=lambda alert: -alert.severity))

    def _limits(self, thresholds: Thresholds) -> tuple[float, float, float]:
        """Seconds from which on a node's clock is skewed, its copy behind, and we blind."""
        behind = thresholds["sync_behind"]["looks"] * self._interval
        blind = thresholds["monitor_blind"]["cycles"] * self._interval + _DEADLINES
        return thresholds["clock_skew"]["seconds"], behind, blind

    def _is_calm(self, node: NodeView, skew: float, behind: float, blind: float) -> bool:
        """Whether there is nothing to tell of a node, nor to forget: as a rule that is so of hundreds of nodes."""
        odd = node.rule or abs(node.clock_offset) > skew or node.behind > behind or node.looked > blind
        return not odd and ("clock_skew", node.name) not in self._since

    def _of_view(self, node: NodeView, now: float, thresholds: Thresholds) -> Iterator[Alert]:
        if node.rule:
            heard = "never heard of" if math.isnan(node.age) else f"last heard of {duration(node.age)} ago"
            yield about_node(node.rule, node.name, f"{node.brief}; {heard}", float(np.nan_to_num(node.age)))
        yield from self._skewed(node, now, thresholds)
        _, limit, blind = self._limits(thresholds)
        if node.behind > limit:
            what = f"more than could be copied for {duration(node.behind)}"
            yield about_node("sync_behind", node.name, what, node.behind - limit, value=node.behind, threshold=limit)
        if node.state in _ASKED and node.looked > blind:
            what = f"not looked at for {duration(node.looked)}: what is shown of it is old"
            yield about_node("monitor_blind", node.name, what, node.looked, value=node.looked, threshold=blind)

    def _skewed(self, node: NodeView, now: float, thresholds: Thresholds) -> Iterator[Alert]:
        numbers = thresholds["clock_skew"]
        skewed = node.state.reached and abs(node.clock_offset) > numbers["seconds"]
        age = self._lasts(("clock_skew", node.name), skewed, now)
        if age >= numbers["minutes"] * 60:
            which = "ahead of" if node.clock_offset > 0 else "behind"
            what = f"its clock is {duration(abs(node.clock_offset))} {which} this machine's"
            yield about_node("clock_skew", node.name, what, age, value=node.clock_offset, threshold=numbers["seconds"])

    def _of_health(self, node: NodeHealth, now: float, thresholds: Thresholds) -> Iterator[Alert]:
        """What is wrong with a node's disks and GPUs. What was found well is looked at again when it is told anew."""
        told = (node.disks, node.gpus, thresholds)
        well = self._well.pop(node.node, None)
        found = [] if well and all(map(is_, told, well)) else list(self._unwell(node, now, thresholds))
        if not found:
            self._well[node.node] = told
        yield from found

    def _unwell(self, node: NodeHealth, now: float, thresholds: Thresholds) -> Iterator[Alert]:
        disks = [found for disk in node.disks if (found := self._disk(node.node, disk, now, thresholds))]
        yield from sorted(disks, key=lambda alert: (-alert.severity, alert.value))[:1]
        lost = [gpu for gpu in node.gpus if gpu.lost]
        age = self._lasts(("gpu_lost", node.node), bool(lost), now)
        if lost:
            yield about_node("gpu_lost", node.node, f"{_named(lost)} {'is' if len(lost) == 1 else 'are'} gone", age)
        bad = [gpu for gpu in node.gpus if gpu.remap_failed or (gpu.ecc_new or 0) > 0]
        age = self._lasts(("ecc", node.node), bool(bad), now)
        if bad:
            errors = sum(gpu.ecc_new or 0 for gpu in bad)
            what = (
                f"{_named(bad)}: {errors:,} new uncorrected memory errors"
                if errors
                else f"{_named(bad)}: no spare rows"
            )
            yield about_node("ecc", node.node, what, age, value=float(errors))

    def _disk(self, node: str, disk: DiskHealth, now: float, thresholds: Thresholds) -> Alert | None:
        if not disk.total or disk.free is None:
            return None
        slope, share = self._slope((node, disk.role), now, disk.free), disk.free / disk.total
        numbers = dict(thresholds["disk_filling"])
        low = float(disk_low(np.array([share]), np.array([float(disk.free)]), np.array([slope]), numbers)[0])
        age = self._lasts(("disk_filling", f"{node} {disk.role}"), low > 0, now)
        if not low:
            return None
        what = f"{disk.role} disk: {disk_sentence(share, disk.free, slope)}"
        severity = Severity.CRIT if low > 1 else Severity.WARN
        return about_node("disk_filling", node, what, age, severity=severity, value=share)

    def _slope(self, key: tuple[str, str], now: float, free: float) -> float:
        """Bytes a second by which a disk's free space changes; NaN before there is data enough."""
        samples = self._free.setdefault(key, deque(maxlen=60))
        if not samples or now - samples[-1][0] >= _SAMPLE_SECONDS:
            samples.append((now, free))
        if samples[-1][0] - samples[0][0] < DISK_MINUTES * 60:
            return math.nan
        times = np.array([time for time, _ in samples])
        return float(resistant_slope(times - times[0], np.array([[free] for _, free in samples]))[0])

    def _lasts(self, key: tuple[str, str], so: bool, now: float) -> float:
        """For how long it has been so; minus infinity where it is not."""
        if not so:
            self._since.pop(key, None)
            return -math.inf
        return now - self._since.setdefault(key, now)


def _named(gpus: Sequence[GpuHealth]) -> str:
    names = ", ".join(gpu.label for gpu in gpus[:8])
    return f"GPU{'s' if len(gpus) > 1 else ''} {names}{', …' if len(gpus) > 8 else ''}"
