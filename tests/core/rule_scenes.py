"""A job, its watch and its time: what the tests of the rules drive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.core.record_lines import START_TS, heartbeat, start, step
from ugro_tui.core.alerts import Alert
from ugro_tui.core.decode import decode
from ugro_tui.core.job import JobState
from ugro_tui.core.rules.catalogue import DEFAULTS
from ugro_tui.core.watch import JobWatch

GIB = 2.0**30


class Scene:
    """One job and its watch. Second `n` of the collector is Unix second `START_TS + n` of the nodes."""

    def __init__(self, ranks: int = 1, settings: Mapping[str, float] | None = None, **fields: Any) -> None:
        self.job = JobState("job")
        self.watch = JobWatch()
        self.thresholds = DEFAULTS
        for name, value in (settings or {}).items():
            self.thresholds = self.thresholds.having(name, value)
        self.now = 0.0
        self.fields: dict[str, Any] = {"world_size": ranks, **fields}
        for rank in range(ranks):
            self.write(rank, start(**self.fields))

    @property
    def ranks(self) -> range:
        """The ranks by number."""
        return range(len(self.job.table))

    def write(self, rank: int, lines: bytes, node: str = "local") -> None:
        """The rank writes these lines now."""
        self.job.apply(rank, decode(lines), self.now, node)

    def beat(self, rank: int, step_age: float = 0.0, **fields: Any) -> None:
        """The rank replaces its heartbeat now."""
        fields = {"ts": START_TS + self.now, **fields}
        self.job.apply_heartbeat(rank, heartbeat(step_age, **fields), self.now, "local")

    def steps(self, numbers: Iterable[float], only: Iterable[int] | None = None, **fields: Any) -> None:
        """The ranks write these steps, the newest now, one second apart."""
        numbers = list(numbers)
        for rank in self.ranks if only is None else only:
            ages = range(len(numbers) - 1, -1, -1)
            lines = [
                step(number, START_TS + self.now - age, **fields) for number, age in zip(numbers, ages, strict=True)
            ]
            self.write(rank, b"".join(lines))

    def tick(self, now: float | None = None) -> dict[str, Alert]:
        """What fires at `now`, by rule: of several alerts of a rule the first."""
        found: dict[str, Alert] = {}
        for alert in self.all(now):
            found.setdefault(alert.rule, alert)
        return found

    def all(self, now: float | None = None, *rules: str) -> list[Alert]:
        """What fires at `now`: all, or only of these rules."""
        self.now = self.now if now is None else now
        found = self.watch.tick(self.job, self.now, self.thresholds)
        return [alert for alert in found if not rules or alert.rule in rules]


def curve(values: Iterable[float], name: str = "loss", first: int = 6, **fields: Any) -> bytes:
    """Records of one rank with these values from step `first` on, one second apart."""
    return b"".join(step(first + place, **{name: value}, **fields) for place, value in enumerate(values))
