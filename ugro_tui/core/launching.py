"""Starting and stopping jobs, as front ends see it: what is asked for, the plan that is shown, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

RESUME: Final = "--resume"
"""The option by which a training script goes on from its newest checkpoint."""


class Backend(Enum):
    """What starts the ranks."""

    SSH = "ssh"
    LOCAL = "local"
    SLURM = "slurm"


@dataclass(frozen=True, slots=True)
class SlurmOptions:
    """What `sbatch` is told beside the plan; empty or None: the site's default. `login`: the node that submits, empty
    for this machine; `nodes`: how many."""

    login: str = ""
    nodes: int = 1
    partition: str = ""
    account: str = ""
    time: str = ""
    gpus_per_node: int | None = None
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """A job that somebody wants started. `script` is empty for the configured default.

    `nodes` are names of watched nodes in the order of their node ranks (the first holds the rendezvous), `nproc` ranks
    on each of them (None: one a GPU, one where there is none). `python`, `workdir` and `script` are paths on the nodes
    unless `sync_code` names a local directory that is copied there first. `environment` is what the ranks get beside
    the node's own; `secrets` are names of files on this machine whose content becomes a variable: NAME -> file.
    `resume`: the next attempt of a job that exists; `from_checkpoint`: its script gets `RESUME`. `rendezvous`: `static`
    or `c10d`. `scope`: whether all is put into a scope of the user's systemd, which a logout does not end: `user`,
    `none`, or `auto`: where one lasts.
    """

    job_id: str
    script: str = ""
    args: tuple[str, ...] = ()
    backend: Backend = Backend.SSH
    nodes: tuple[str, ...] = ()
    nproc: int | None = None
    python: str = ""
    workdir: str = ""
    master_addr: str = ""
    rendezvous: str = "static"
    max_restarts: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    sync_code: str = ""
    resume: bool = False
    slurm: SlurmOptions = SlurmOptions()
    scope: str = "auto"
    from_checkpoint: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """What the script gets. `args` stay the job's own: this attempt goes on from a checkpoint, not all after it."""
        return (*self.args, RESUME) if self.from_checkpoint and RESUME not in self.args else self.args


@dataclass(frozen=True, slots=True)
class NodePlan:
    """What is run on one node: `command` as an argument vector; `first_rank`: the global rank of its first process."""

    node: str
    node_rank: int
    nproc: int
    first_rank: int
    command: tuple[str, ...]
    workdir: str
    environment: Mapping[str, str] = field(default_factory=dict)
    scope: bool = False
    """In a scope of the user's systemd; else in sessions of their own."""


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """All that would happen. `copies`: sentences about what is copied to nodes; `script`: of `sbatch`, for Slurm;
    `problems`: why it could not be started now, as far as that is seen without trying, each with its node; `warnings`:
    what forbids nothing and should be known before."""

    request: LaunchRequest
    attempt: int
    world_size: int
    token: str
    nodes: tuple[NodePlan, ...] = ()
    copies: tuple[str, ...] = ()
    script: str = ""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Stage(Enum):
    """How far a launch or a stop is, on one node or as a whole."""

    WAITING = "waiting"
    PREFLIGHT = "preflight"
    COPYING = "copying"
    STARTING = "starting"
    VERIFYING = "verifying"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"

    @property
    def over(self) -> bool:
        """Whether nothing more happens."""
        return self in (Stage.RUNNING, Stage.DONE, Stage.FAILED)


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """How far one node is; `said`: a few words of what is done there; `problem`: what failed, why, what to do."""

    node: str
    stage: Stage = Stage.WAITING
    said: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LaunchView:
    """A launch, or a stop, under way or over. `problem`: why it failed; `warnings`: what is not as it should be.

    `recalled`: how a job was launched, where that alone was asked for.
    """

    job_id: str
    stage: Stage
    nodes: tuple[NodeProgress, ...] = ()
    plan: LaunchPlan | None = None
    problem: str = ""
    warnings: tuple[str, ...] = ()
    recalled: LaunchRequest | None = None

    @property
    def going(self) -> bool:
        """Whether something happens now: a plan alone waits."""
        return self.stage is not Stage.WAITING and not self.stage.over


@dataclass(frozen=True, slots=True)
class Executed:
    """A command that this application ran on a node. `at`: Unix seconds; `code`: None while it runs.

    `lost`: why nobody knows how it ended, where that was not this application's doing: its connection was lost.
    `looks`: of a question that is asked again and again how often it was, of which this is the last; 0 of all others.
    """

    at: float
    node: str
    command: str
    code: int | None = None
    seconds: float = 0.0
    lost: str = ""
    looks: int = 0
