"""What a front end may ask of the rest: frozen commands in, tickets out, answers in a later snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ugro_tui.core.alerts import Subject
from ugro_tui.core.launching import LaunchRequest


@dataclass(frozen=True, slots=True)
class Refresh:
    """Look at all sources now."""


@dataclass(frozen=True, slots=True)
class Health:
    """Look at how all nodes are now, and often for a while: somebody watches. A node that is left alone still is."""


@dataclass(frozen=True, slots=True)
class OpenJob:
    """Follow this job, however old it is."""

    job_id: str


@dataclass(frozen=True, slots=True)
class OpenRank:
    """Tell all that is known of this rank in `Snapshot.rank`, until another one is opened."""

    job_id: str
    rank: int


@dataclass(frozen=True, slots=True)
class Sync:
    """Bring the central copies of event files and logs up to date now: of one job, or of all that are followed."""

    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class OpenTensorBoard:
    """Start TensorBoard on the event files, if it does not run yet; the answer says where."""


@dataclass(frozen=True, slots=True)
class Diagnose:
    """Gather what is known of a job in trouble, from its nodes too; the answer says where the report is."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Tell:
    """What a person says to a question of `Snapshot.questions`. Empty: no answer; ask again when it comes up again."""

    question: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """This alert is known: ring no more for it until it is over. `subject`: `Alert.subject`; no job: of a node."""

    job_id: str
    subject: Subject


@dataclass(frozen=True, slots=True)
class Snooze:
    """Ring for this alert again in so many seconds, if it still fires then."""

    job_id: str
    subject: Subject
    seconds: float


@dataclass(frozen=True, slots=True)
class SetThreshold:
    """Have rules judge by this number from now on, until the application ends: `gpu_underused.threshold`, 70."""

    name: str
    value: float | str


@dataclass(frozen=True, slots=True)
class PlanLaunch:
    """Work out what a launch would do, on which nodes; nothing is started. The plan comes in `Snapshot.launch`."""

    request: LaunchRequest


@dataclass(frozen=True, slots=True)
class RecallLaunch:
    """Tell how this job was launched, in `Snapshot.launch.recalled`: as it is to be asked for to start it again."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Start what was asked for, all or nothing; how far it is comes in `Snapshot.launch`. The answer says the end.

    `typed`: the secrets of the request that have no file, as a person typed them; nobody keeps or shows them.
    """

    request: LaunchRequest
    typed: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Stop:
    """End a job on all of its nodes: SIGTERM, and SIGKILL after `grace` seconds; a job that waits is cancelled."""

    job_id: str
    grace: float = 10.0


Act: TypeAlias = PlanLaunch | RecallLaunch | Launch | Stop
"""Commands that change something on nodes; a read-only application refuses them."""

Order: TypeAlias = Acknowledge | Snooze | SetThreshold
"""Commands about alerts, which no node is asked about."""

Command: TypeAlias = Refresh | Health | OpenJob | OpenRank | Sync | OpenTensorBoard | Diagnose | Tell | Order | Act


@dataclass(frozen=True, slots=True)
class Ticket:
    """The receipt of a command; its answer carries the same number."""

    number: int
    command: Command


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the command with that number. `problem` is empty when it went well, `said` is its result."""

    number: int
    problem: str = ""
    said: str = ""
