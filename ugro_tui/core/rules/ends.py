"""Who failed, and what it died of: the rank that it began with before those that followed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from ugro_tui.core.alerts import Alert, Severity
from ugro_tui.core.endings import lost_peer
from ugro_tui.core.job import JobState
from ugro_tui.core.liveness import LIVING, write_ages
from ugro_tui.core.numbers import duration
from ugro_tui.core.rank import Rank
from ugro_tui.core.rules.look import MOST_NAMED, Look, about_node, alert, each
from ugro_tui.core.states import JobStatus, RankState

_SOURCE: Final = re.compile(r"\[[^\]]*\.\w+:\d+\] ")
"""Where gloo and NCCL name a line of their own source."""


class Ends:
    """Ranks that ended in failure, with an error of their own or without a word."""

    def judge(self, look: Look) -> Iterator[Alert]:
        """The first failure first. What ends after somebody stopped the job is no news."""
        job = look.job
        if job.status(look.now) is JobStatus.STOPPED:
            return
        first = job.first_failure(look.now)
        dead = job.current_in(look.states, RankState.DEAD)
        if first is not None and lost_peer(first) and (silent := _without_end(look)):
            yield _lost(look, first, silent)
            return
        silence = write_ages(job.table, look.now)
        ages = {
            rank.rank: float(np.fmax(look.now - rank.ended_at, 0.0 if rank.end else silence[rank.row])) for rank in dead
        }
        if not dead and job.status(look.now) is JobStatus.FAILED:
            yield alert("launch_failed", None, launcher_words(job).removeprefix("failed: "), 0.0)
        dead.sort(key=lambda rank: (first is None or rank is not first, -ages[rank.rank], rank.rank))
        yield from each(dead[:1], lambda rank, _: self._alert(look, rank, first, ages[rank.rank], 1))
        yield from each(dead[1:], lambda rank, ranks: self._alert(look, rank, first, ages[rank.rank], ranks))

    def _alert(self, look: Look, rank: Rank, first: Rank | None, age: float, ranks: int) -> Alert:
        key = "rank_error" if rank.end is not None or rank.error is not None else "died_silently"
        after = first is not None and first is not rank
        where = "" if key == "rank_error" or after else "look at its node's kernel log (dmesg), and "
        next_step = f"{where}read the end of {output_of(look.job, rank)}"
        follows = after and lost_peer(rank)
        what = cause_of_death(look.job, rank, first)
        if first is not None and follows:
            what = f"followed rank {first.rank}: {_in_short(what)}"
        # What follows from the first failure is no alarm of its own; an error of another kind is.
        quiet = after and key == "died_silently" and not (rank.vital is not None and rank.vital.oom)
        severity = Severity.INFO if follows or quiet else None
        return alert(key, rank, what, age, next_step=next_step, ranks=ranks, severity=severity)


def _in_short(error: str) -> str:
    """The first sentence, without the line of the library's source that it begins with."""
    return _SOURCE.sub("", error).partition(". ")[0]


def _without_end(look: Look) -> list[Rank]:
    """The ranks of which no end is known yet, those that were silent for longest first."""
    silence = write_ages(look.job.table, look.now)
    found = look.job.current_in(look.states, *LIVING, RankState.UNREACHABLE)
    return sorted(found, key=lambda rank: -silence[rank.row])


def _lost(look: Look, witness: Rank, silent: list[Rank]) -> Alert:
    """Ranks have lost a peer that has not said why: it is one of those without an end, and no other one is blamed."""
    silence = float(write_ages(look.job.table, look.now)[silent[0].row])
    others = f" (or {len(silent) - 1} more)" if len(silent) > 1 else ""
    where = f" on {silent[0].node}" if silent[0].node else ""
    what = (
        f"ranks have lost another one that has not said why yet: rank {silent[0].rank}{where}{others}, last heard of "
        f"{duration(silence)} ago; rank {witness.rank} says "
        f"{_in_short(cause_of_death(look.job, witness, witness))}"
    )
    age = max(0.0, look.now - witness.ended_at)
    return alert("rank_error", None, what, age, next_step=f"look at rank {silent[0].rank}{where}")


def output_of(job: JobState, rank: Rank) -> str:
    """Where a rank's words are: only a launcher keeps them in a file that we know."""
    return f"logs/rank_{rank.rank}.log of the job" if job.manifest is not None else "what it printed"


def launcher_words(job: JobState) -> str:
    """Why a job failed of which no rank is known to have: its launcher's word, else what is known of that."""
    if job.manifest is not None and job.manifest.said:
        return job.manifest.said
    code = job.manifest.exit_code if job.manifest else None
    ended = "" if code is None else f" with exit code {code}"
    return f"its launcher ended{ended} and no rank said why; read the ends of logs/rank_0.log and of its own log"


_SIGNALS: Final = {
    -4: "killed by SIGILL: a program for another processor",
    -6: "aborted (SIGABRT): a failed check in C, or NCCL's watchdog",
    -7: "killed by SIGBUS: often shared memory (/dev/shm) that is full",
    -9: "killed (SIGKILL)",
    -11: "segmentation fault (SIGSEGV)",
}


def cause_of_death(job: JobState, rank: Rank, first: Rank | None) -> str:
    """Why a rank is taken for dead, in one line. `first`: the rank that the job's failure began with."""
    if rank.end is not None and rank.end.error_type:
        return f"{rank.end.error_type}: {rank.end.error_message}"
    if rank.error is not None and rank.error.message:
        return rank.error.message
    if rank.end is not None:
        return "ended in failure, without saying why"
    code = job.exit_code(rank)
    if code in (None, -9) and rank.vital is not None and rank.vital.state.over and rank.vital.oom:
        return "killed: out of memory"
    if first is None or first is rank:
        return _vanished(rank, code)
    return f"ended after rank {first.rank} had failed"


def _vanished(rank: Rank, code: int | None) -> str:
    if code is not None:
        signal = f"ended by signal {-code}" if code < 0 else f"exited with code {code}"
        return f"{_SIGNALS.get(code, signal)}, without an end record or an error file"
    if rank.vital is not None and rank.vital.state.over:
        return "killed: its process is gone, without an end record or an error file (SIGKILL?)"
    return "gone without a word: killed (SIGKILL, out of memory), or its machine went down"


class Orphans:
    """Ranks that go on without the torchrun that started them."""

    def judge(self, look: Look) -> Iterator[Alert]:
        """One alert for each node."""
        job = look.job
        told = job.manifest.orphaned if job.manifest is not None else {}
        for node, code in sorted(told.items()) if not job.status(look.now).over else ():
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            yield about_node("launcher_gone", node, f"torchrun has ended there ({how}), and its ranks go on", 0.0)


class Restarts:
    """Starts again and again, or starts that get nowhere."""

    def judge(self, look: Look) -> Iterator[Alert]:
        """One alert for the job."""
        if look.job.attempt < 2 and not any(rank.before for rank in look.job.current()[:1]):
            return
        if look.job.status(look.now) in (JobStatus.FINISHED, JobStatus.STOPPED):
            return
        numbers = look.thresholds["restart_loop"]
        rank = max(look.job.current()[:MOST_NAMED], key=lambda rank: len(rank.starts), default=None)
        if rank is None or not rank.starts:
            return
        newest = rank.starts[-1][0]
        recent = [ts for ts, _ in rank.starts if newest - ts <= numbers["minutes"] * 60]
        best = rank.starts[-1][1]
        latest = rank.series.last_step
        moved = latest > (best if not np.isnan(best) else -np.inf)
        idle = _idle(rank.starts) if not moved else 0
        settled = moved and rank.last_ts - newest > numbers["minutes"] * 60
        if len(recent) >= numbers["starts"] and not settled:
            what = f"{len(recent)} starts within {duration(newest - recent[0])}"
        elif idle >= numbers["idle"]:
            beyond = "a step" if np.isnan(best) else f"getting beyond step {best:,.0f}"
            what = f"{idle} starts in a row without {beyond}"
        else:
            return
        yield alert("restart_loop", None, what, rank.last_ts - newest)


def _idle(starts: list[tuple[float, float]]) -> int:
    """How many of the last starts found the same step that the run had come to."""
    count = 0
    for _, best in reversed(starts):
        if not (best == starts[-1][1] or (np.isnan(best) and np.isnan(starts[-1][1]))):
            break
        count += 1
    return count
