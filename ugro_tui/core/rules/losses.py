"""Is it learning: rules over the run's line of losses, gradient norms and throughputs."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import itemgetter

import numpy as np

from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.numbers import compact, counted, plain
from ugro_tui.core.rank import Rank
from ugro_tui.core.rules.detectors import Divergence, Drop, Episode, Spikes
from ugro_tui.core.rules.line import Points, RunLine
from ugro_tui.core.rules.look import Look, alert
from ugro_tui.core.rules.slope import flat
from ugro_tui.core.sorting import median

OVERFLOWED = "an overflow that loss scaling skips is usual at first; else clip gradients, or use bf16"


class Learning:
    """Spikes, divergence, plateau, gradients, skipped steps and throughput of the run as a whole."""

    def __init__(self) -> None:
        self._line = RunLine()
        self._begin()

    def _begin(self) -> None:
        self._loss, self._grad = Spikes(), Spikes()
        self._divergence, self._vanish, self._drop = Divergence(), Drop(), Drop()
        self._skipped: deque[tuple[float, float]] = deque()
        self._storm = False
        self._losses: deque[tuple[float, float]] = deque(maxlen=4_096)
        self._flat: Episode | None = None
        self._last = Episode(math.nan, math.nan, math.nan, math.nan, math.nan)
        self._idle = 0.0

    def judge(self, look: Look) -> Iterator[Alert]:
        """What fires, after all steps that are complete by now."""
        points, anew = self._line.advance(look)
        if anew:
            self._begin()
        self._feed(points, look)
        self._idle = look.idle
        yield from self._fired(look)

    def _feed(self, points: Points, look: Look) -> None:
        spike, explosion = look.numbers("loss_spike"), look.numbers("gradient_explosion")
        diverged = look.numbers("divergence")
        for step, ts, loss, grad, throughput, skipped in zip(
            points.step.tolist(), points.ts.tolist(), points.loss.tolist(), points.grad_norm.tolist(),
            points.throughput.tolist(), points.skipped.tolist(), strict=True,
        ):  # fmt: skip
            if not math.isnan(loss):
                self._loss.feed(step, ts, loss, sigmas=spike["sigmas"], least=spike["least"], records=spike["records"])
                self._divergence.feed(
                    step, ts, loss, self._loss.episode, steps=diverged["steps"], factor=diverged["factor"]
                )
                self._losses.append((step, loss))
            if not math.isnan(grad):
                self._grad.feed(
                    step, ts, grad, sigmas=explosion["sigmas"], least=spike["least"],
                    records=explosion["records"], factor=explosion["factor"],
                )  # fmt: skip
                share, steps = look.thresholds["gradient_vanish"]["share"], look.thresholds["gradient_vanish"]["steps"]
                self._vanish.feed(step, ts, grad, share=share, clear=share, steps=steps)
            if not math.isnan(throughput):
                numbers = look.thresholds["throughput_drop"]
                self._drop.feed(
                    step, ts, throughput, share=numbers["threshold"], clear=numbers["clear"], steps=numbers["steps"]
                )
            if not math.isnan(skipped):
                self._skipped.append((step, skipped))
            self._last = Episode(step, ts, loss, math.nan, math.nan)
        if len(points):
            self._flat = self._plateau(look)

    def _fired(self, look: Look) -> Iterator[Alert]:
        if (one := self._divergence.episode) is not None:
            what = (
                f"loss {plain(one.value)} is not back since a spike at step {one.step:,.0f} ({plain(one.usual)} before)"
            )
            yield self._alert("divergence", one, what)
        elif (one := self._loss.episode) is not None:
            what = f"loss {plain(one.value)} at step {one.step:,.0f} against a median of {plain(one.usual)}"
            yield self._alert("loss_spike", one, what)
        if (one := self._grad.episode) is not None:
            what = f"gradient norm {plain(one.value)} at step {one.step:,.0f} against {plain(one.usual)} before"
            yield self._alert("gradient_explosion", one, what)
        if (one := self._vanish.episode) is not None:
            what = f"gradient norm {plain(one.value)} since step {one.step:,.0f} against a median of {plain(one.usual)}"
            yield self._alert("gradient_vanish", one, what)
        if (one := self._drop.episode) is not None:
            rates = f"{compact(one.value)} tokens/s a rank against a median of {compact(one.usual)}"
            yield self._alert("throughput_drop", one, f"{rates} since step {one.step:,.0f}")
        if (one := self._flat) is not None:
            yield self._alert("plateau", one, f"the loss has not moved since step {one.step:,.0f} ({plain(one.value)})")
        yield from self._overflows(look)

    def _alert(self, key: str, one: Episode, what: str) -> Alert:
        """Its age is told in the run's own time, from the record that it began with on."""
        return alert(key, None, what, self._last.ts - one.ts + self._idle, value=one.value, threshold=one.threshold)

    def _plateau(self, look: Look) -> Episode | None:
        planned = look.job.total_steps if look.thresholds.enabled("plateau") else None
        if planned is None:
            return None
        first = self._last.step - planned * look.thresholds["plateau"]["share"]
        part = np.array([pair for pair in self._losses if pair[0] >= first])
        if len(part) < 64 or self._losses[0][0] > first or not flat(part[:, 0], part[:, 1]):
            return None
        return Episode(first, self._last.ts, median(part[:, 1]), math.nan, math.nan)

    def _overflows(self, look: Look) -> Iterator[Alert]:
        numbers, seen = look.thresholds["overflow_storm"], self._skipped
        while seen and seen[-1][0] - seen[0][0] > numbers["steps"]:
            seen.popleft()
        steps = seen[-1][0] - seen[0][0] if seen else 0.0
        skipped = _skipped(seen)
        limit = numbers["share"] * numbers["steps"] * (0.5 if self._storm else 1.0)
        self._storm = steps >= numbers["steps"] / 2 and skipped > limit
        if self._storm:
            what = f"{skipped:,.0f} of the last {steps:,.0f} steps were skipped"
            share = skipped / steps
            yield alert("overflow_storm", None, what, 0.0, value=share, threshold=numbers["share"])


def _skipped(seen: Sequence[tuple[float, float]]) -> float:
    """Steps skipped, by a count that grows over the run (DeepSpeed), or by one of each record (Megatron-LM, flags).

    Of each record it can be no more than the steps since the one before; a count that fell back began anew.
    """
    pairs = list(pairwise(seen))
    grows = all(before <= after for (_, before), (_, after) in pairs)
    fits = all(value <= step - last for (last, _), (step, value) in pairs)
    if fits and not (grows and seen and seen[-1][1] > 1):
        return sum(value for _, (_, value) in pairs)
    return sum(max(0.0, after - before) for (_, before), (_, after) in pairs)


class BadLosses:
    """Losses and gradient norms that are no numbers; the rank where it began is named."""

    def judge(self, look: Look) -> Iterator[Alert]:
        """One alert for all ranks that have them, and one for what is over."""
        rows = look.job.current_rows()
        ever = [look.job.table.by_row[row] for row in rows[look.job.table.bad[rows] > 0].tolist()]
        bad = [rank for rank in ever if _lasts(rank, look)]
        bad.sort(key=_began)
        if bad:  # under DDP it is all ranks' trouble at once: one alert
            alike = [rank for rank in bad if _of_loss(rank) == _of_loss(bad[0])]
            yield _bad(bad[0], len(alike), look)
        yield from _recovered([rank for rank in ever if not _lasts(rank, look)])


def _lasts(rank: Rank, look: Look) -> bool:
    """Whether its episode is not over: that of a run which is over ends with its first finite record."""
    return rank.bad is not None and not (look.over and rank.bad.finite)


def _of_loss(rank: Rank) -> bool:
    """Whether it was the loss: through gradients that are shared, other ranks have a norm that is no number for it."""
    return rank.bad is not None and rank.bad.of_loss


def _began(rank: Rank) -> tuple[bool, float, int]:
    """The order in which ranks are named: losses before gradient norms, then by the step at which it began."""
    bad = rank.bad
    return (True, math.inf, rank.rank) if bad is None else (not bad.of_loss, bad.step, rank.rank)


def _bad(rank: Rank, ranks: int, look: Look) -> Alert:
    bad = rank.bad
    assert bad is not None
    value = "NaN" if math.isnan(bad.value) else plain(bad.value)
    since = f"since step {bad.step:,.0f} (loss {value})"
    if bad.finite:
        since += f"; finite in the last {counted(bad.finite, 'record')}"
    by_record = look.lasted(rank, bad.ts)
    age = look.until - bad.at if math.isnan(by_record) else by_record
    if bad.of_loss:
        return alert("non_finite_loss", rank, f"loss not finite {since}", age, ranks=ranks)
    if bad.masked:
        return alert("masked_nan", rank, f"loss 0 with a gradient norm that is not finite {since}", age, ranks=ranks)
    what = f"gradient norm not finite {since}"
    return alert("non_finite_loss", rank, what, age, ranks=ranks, severity=Severity.WARN, next_step=OVERFLOWED)


def _recovered(ranks: list[Rank]) -> Iterator[Alert]:
    """What was not finite for a while: over, but nobody who looked away should miss it.

    Of ranks whose loss it was nothing is said of the others, which had no more than a gradient norm.
    """
    if not ranks:
        return
    lost = [rank for rank in ranks if rank.bad_losses]
    told = [(rank.last_bad_loss, rank.bad_losses, rank) for rank in lost]
    told = told or [(rank.last_bad_step, rank.bad_records, rank) for rank in ranks]
    step, _, rank = max(told, key=itemgetter(0))
    records, what = sum(count for _, count, _ in told), "" if lost else "gradient norm "
    who = f"{len(told)} ranks" if len(told) > 1 else f"rank {rank.rank}"
    what += f"not finite in {records:,} of the records of {who}, the last at step {step:,.0f}; finite since"
    yield alert("loss_recovered", rank, what, 0.0, ranks=len(told))
