"""Where a job of Slurm stands: as its script has written it down, or as Slurm says."""

from __future__ import annotations

from dataclasses import replace
from signal import SIGTERM

from ugro_tui.act.backend import JobStanding, NodeStanding
from ugro_tui.act.clerk import Manifest
from ugro_tui.core.errors import BadInput
from ugro_tui.core.nodelist import expand, split
from ugro_tui.core.slurm import SlurmJob, sentence
from ugro_tui.core.states import JobStatus

BY_OTHERS = "stopped: cancelled by scancel, not by ugro-tui"
"""As `helper_batch` writes it, where the script of the job could."""


def written(manifest: Manifest, said: str = "") -> JobStanding:
    """As job.json has the end; `said`: Slurm's words on it, where it still knows."""
    code, signal = manifest.exit_code, manifest.signal
    if manifest.said:
        said = manifest.said
    elif manifest.status == "failed" and (why := _why(manifest)):
        said = f"failed: {why}"
    nodes = _nodes(manifest.slurm_nodes, code, signal)
    standing = _standing(manifest, manifest.status, said, nodes)
    return replace(standing, exits=manifest.exits, exit_code=code, signal=signal, ended=manifest.ended)


def _why(manifest: Manifest) -> str:
    """How it failed: by the rank that failed of its own, where one is known; the code of the script says less.

    Where a node's ranks fail, srun ends those of the others with SIGTERM, and returns the highest code.
    """
    own = {rank: code for rank, code in manifest.exits.items() if code != -SIGTERM}
    if own:
        rank = min(own)
        more = f" (and {len(own) - 1} more)" if len(own) > 1 else ""
        return f"rank {rank}{more} ended {'by' if own[rank] < 0 else 'with'} {_ended(own[rank], None)}"
    return _ended(manifest.exit_code, manifest.signal)


def _ended(code: int | None, signal: int | None) -> str:
    if signal or (code is not None and code < 0):
        return f"signal {signal or -(code or 0)}"
    return "" if code is None else f"exit code {code}"


def forgotten(manifest: Manifest, number: str | None) -> JobStanding:
    """Slurm knows of no such job: whatever it was, it does not run."""
    if number is None:
        return _standing(manifest, "failed", "failed: it was never submitted")
    said = f"failed: Slurm has forgotten job {number}, and nobody has written down how it ended"
    return _standing(manifest, "failed", said)


def silent(manifest: Manifest, why: str) -> JobStanding:
    """Slurm does not answer, and nothing has been written of an end: it may wait, run, or be over."""
    return _standing(manifest, "unknown", f"unknown: {why}")


def told(manifest: Manifest, job: SlurmJob, place: int | None) -> JobStanding:
    """As Slurm says; `place` in the queue, where it waits and that is known."""
    nodes = _nodes(job.nodes, job.exit_code, job.signal)
    said = sentence(job, place)
    if job.status is JobStatus.STOPPED:
        said = f"stopped by {manifest.stop_asked}" if manifest.stop_asked else BY_OTHERS
    standing = _standing(manifest, job.status.value, said, nodes)
    if standing.status == "pending" and manifest.status == "running":
        standing = replace(standing, attempt=manifest.attempt + 1)  # it was requeued
    return replace(standing, exit_code=None if job.signal else job.exit_code, signal=job.signal)


def _standing(manifest: Manifest, status: str, said: str, nodes: tuple[NodeStanding, ...] = ()) -> JobStanding:
    return JobStanding(status, manifest.attempt, said, nodes, backend=manifest.backend, request=manifest.request)


def _nodes(listed: str, code: int | None, signal: int | None) -> tuple[NodeStanding, ...]:
    """The nodes of a list as Slurm writes it; what is known of the end is the script's, which runs on the first."""
    try:
        names = [name for piece in split(listed, "Slurm") for name in expand(piece, "Slurm")]
    except BadInput:
        names = [listed]
    ends = [NodeStanding(name, exit_code=code, signal=signal) for name in names[:1]]
    return (*ends, *map(NodeStanding, names[1:]))
