"""All rules of a job together: what fires now, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ugro_tui.core.alerts import Alert
from ugro_tui.core.job import JobState
from ugro_tui.core.liveness import StallLimit
from ugro_tui.core.rules.away import Rewritten, Unreachable
from ugro_tui.core.rules.catalogue import DEFAULTS, RULES
from ugro_tui.core.rules.ends import Ends, Orphans, Restarts
from ugro_tui.core.rules.gpus import Broken, Heat, MemoryTrend, Throttled, Underused
from ugro_tui.core.rules.hosts import Disks, Leaks, Lines
from ugro_tui.core.rules.look import JobRule, Look
from ugro_tui.core.rules.losses import BadLosses, Learning
from ugro_tui.core.rules.rule import Thresholds
from ugro_tui.core.rules.stalls import Desync, Stalls
from ugro_tui.core.rules.stragglers import Stragglers

_EFFECTS = frozenset({"throughput_drop"})
"""What follows from something else that is told, if that is known: of the same severity, it comes last."""


def _worst_first(alert: Alert) -> tuple[int, bool]:
    return (-alert.severity, alert.rule in _EFFECTS)


_OF_THE_LIVING = frozenset({
    "throughput_drop", "straggler", "plateau", "desync", "gpu_memory_trend",
    "host_memory_leak", "gpu_underused", "thermal_throttle", "power_brake", "temperature",
})  # fmt: skip
"""What is over when the job is: nobody waits for anyone any more."""


class JobWatch:
    """Watches one job: keeps what its rules remember from one look to the next."""

    def __init__(self) -> None:
        self._stragglers = Stragglers()
        # In the order in which alerts of one severity are told: causes before their effects.
        self._rules: Sequence[JobRule] = (
            Ends(), BadLosses(), Unreachable(), Broken(), Orphans(), Stalls(), Learning(), self._stragglers, Desync(),
            Restarts(), Throttled(), Heat(), MemoryTrend(), Underused(), Leaks(), Disks(), Rewritten(), Lines(),
        )  # fmt: skip

    @property
    def unjudged(self) -> tuple[str, ...]:
        """What is not judged, and why, in a sentence each."""
        return tuple(filter(None, [self._stragglers.unjudged]))

    def tick(self, job: JobState, now: float, thresholds: Thresholds = DEFAULTS) -> tuple[Alert, ...]:
        """All alerts of the job that fire at `now` (monotonic seconds): the worst first, causes before their effects.

        Afterwards the ranks that the others wait for are `slow` in the job's states.
        """
        if job.relaunched(now):
            return ()
        job.mark_slow(np.zeros(0, bool))
        stall = thresholds["rank_stalled"]
        job.stall = StallLimit(stall["seconds"], stall["intervals"])
        look = Look(job, now, thresholds, job.states(now))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a node may send any number
            found = [alert for rule in self._rules for alert in rule.judge(look) if thresholds.enabled(alert.rule)]
        if thresholds.enabled("straggler"):
            job.mark_slow(self._stragglers.slow)
        if look.over:
            found = [_afterwards(alert) for alert in found if alert.rule not in _OF_THE_LIVING]
        return tuple(sorted(found, key=_worst_first))


def _afterwards(alert: Alert) -> Alert:
    """The alert with what to do about a run that is over: nobody can stop it any more."""
    rule = RULES[alert.rule]
    plain = alert.next_step == rule.next_step
    return replace(alert, next_step=rule.afterwards) if plain and rule.afterwards else alert


def evaluate(job: JobState, now: float) -> tuple[Alert, ...]:
    """What a first look at the job finds at `now`; alerts that need to last do not fire yet."""
    return JobWatch().tick(job, now)
