"""Step time: what lies between two records, averaged over the steps between them."""

from __future__ import annotations


class StepWindow:
    """Counts the steps since the last record and the seconds they took."""

    def __init__(self, emit_every: int) -> None:
        self._emit_every = emit_every
        self._opened_at: float | None = None
        self._timed_steps = 0
        self._paused = 0.0
        self.steps = 0
        """Steps since the last record."""
        self.step: int | None = None
        """The newest step."""

    def advance(self, step: int, now: float) -> bool:
        """Take in a step that ended at `now` (seconds of a steady clock); True: it is one of those to be written.

        Written are the multiples of `emit_every`, the same on every rank; where a script emits so rarely that it
        jumps over one, the next step that it does emit.
        """
        last = self.step
        passed = step - last if last is not None and step > last else 1
        self.step = step
        self.steps += passed
        if self._opened_at is None:
            self._opened_at = now
        else:
            self._timed_steps += passed
        every = self._emit_every
        return step % every == 0 or (last is not None and step // every != last // every)

    def pause(self, seconds: float) -> None:
        """Leave out time that belongs to no step: a declared phase."""
        if self._opened_at is not None:
            self._paused += seconds

    def step_time(self, now: float) -> float | None:
        """Mean seconds a step without declared phases; None before there are two steps."""
        if self._opened_at is None or self._timed_steps == 0:
            return None
        return max(0.0, now - self._opened_at - self._paused) / self._timed_steps

    def reopen(self, now: float) -> None:
        """Begin anew after a record."""
        self._opened_at = now
        self._paused = 0.0
        self.steps = self._timed_steps = 0
