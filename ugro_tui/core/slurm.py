"""What Slurm says of a job, as scontrol, squeue and sacct print it, made into a state and a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ugro_tui.core.states import JobStatus
from ugro_tui.core.text import visible

QUEUE_FORMAT = "%i|%T|%r|%P|%N|%S"
"""Of squeue, for `Queue`."""

MARKED_FORMAT = "%i|%k"
"""Of squeue, for `marked`."""

SACCT_FORMAT = "JobIDRaw,State,ExitCode,NodeList,Start,End,Partition"
"""Of `sacct -n -P -X`, for `from_sacct`."""


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """One job as Slurm has it. `nodes` is a list as Slurm writes it, `start` a local time of the cluster.

    `exit_code` and `signal` are of the script: None while it runs; `signal` is None where none ended it.
    """

    job_id: str
    state: str
    reason: str = ""
    nodes: str = ""
    partition: str = ""
    start: str = ""
    asked: str = ""
    exit_code: int | None = None
    signal: int | None = None

    @property
    def status(self) -> JobStatus:
        """The state in our words."""
        return _STATUS.get(self.state, JobStatus.UNKNOWN)


_STATUS = {
    **dict.fromkeys(
        ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"),
        JobStatus.PENDING,
    ),
    **dict.fromkeys(
        ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"), JobStatus.RUNNING
    ),
    "COMPLETED": JobStatus.FINISHED,
    "CANCELLED": JobStatus.STOPPED,
    **dict.fromkeys(
        ("FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY", "REVOKED"),
        JobStatus.FAILED,
    ),
}

_FIELD = re.compile(
    r"(?:^|(?<=\s))(JobId|JobState|Reason|ExitCode|StartTime|LastSchedEval|Partition|NodeList)=([^\s]*)", re.ASCII
)
_CODE = re.compile(r"(\d{1,5}):(\d{1,3})", re.ASCII)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d)?", re.ASCII)
_NOTHING = ("", "None", "(null)", "N/A", "Unknown", "None assigned")


def from_scontrol(text: str) -> SlurmJob | None:
    """The job that `scontrol show job ID` tells of; None where it tells of none.

    The first word of a name counts: what users choose (paths, comments) stands behind all that is read here.
    """
    fields: dict[str, str] = {}
    for name, value in _FIELD.findall(text):
        fields.setdefault(name, visible(value, 200))
    if not {"JobId", "JobState"} <= fields.keys():
        return None
    known = {name: "" if value in _NOTHING else value for name, value in fields.items()}
    job = SlurmJob(
        known["JobId"],
        known["JobState"],
        reason=known.get("Reason", ""),
        nodes=known.get("NodeList", ""),
        partition=known.get("Partition", ""),
        start=known.get("StartTime", ""),
        asked=known.get("LastSchedEval", ""),
    )
    return _ended(job, known.get("ExitCode", ""))


def from_sacct(text: str, job_id: str) -> SlurmJob | None:
    """The job that `sacct` tells of; None where it tells of none."""
    for line in text.splitlines():
        found = [visible(field, 200) for field in line.split("|")]
        if len(found) == 7 and found[0] == job_id:
            _, state, code, nodes, start, _, partition = ("" if field in _NOTHING else field for field in found)
            # "CANCELLED by 1000"
            job = SlurmJob(job_id, state.split(" ")[0], nodes=nodes, partition=partition, start=start)
            return _ended(job, code)
    return None


def _ended(job: SlurmJob, code: str) -> SlurmJob:
    """The job with its exit code, where it has ended: before that Slurm says 0."""
    found = _CODE.fullmatch(code)
    if found is None or not job.status.over:
        return job
    return replace(job, exit_code=int(found.group(1)), signal=int(found.group(2)) or None)


@dataclass(frozen=True, slots=True)
class Queue:
    """All jobs that wait or run, as `squeue -S -p,i` lists them at one moment: the first starts first, as far as
    priorities go. `asked`: that moment, a local time of the cluster."""

    rows: Mapping[str, tuple[str, ...]]
    asked: str = ""

    @classmethod
    def of(cls, text: str) -> Queue:
        """From a line with the time, and lines in `QUEUE_FORMAT`; what is none is left out."""
        asked, *lines = text.splitlines() or [""]
        rows = (tuple(line.strip().split("|")) for line in lines)
        return cls({row[0]: row for row in rows if len(row) == 6}, visible(asked, 40))

    def job(self, number: str) -> SlurmJob | None:
        """A job that waits or runs; None where there is none of this number."""
        if number not in self.rows:
            return None
        _, state, *rest = (visible("" if field in _NOTHING else field, 200) for field in self.rows[number])
        reason, partition, nodes, start = rest
        return SlurmJob(number, state, reason, nodes, partition, start, self.asked)

    def place(self, job: SlurmJob) -> int | None:
        """Where it stands, from 1, among those that wait for its partition; None where it is not among them."""
        wanted, place = set(job.partition.split(",")), 0
        for number, state, _, partitions, *_ in self.rows.values():
            if state == "PENDING" and wanted & set(partitions.split(",")):
                place += 1
                if number == job.job_id:
                    return place
        return None


def marked(lines: Sequence[str], mark: str) -> str | None:
    """The number of the job whose comment is `mark`, of lines in `MARKED_FORMAT`; None where there is none."""
    for line in lines:
        number, _, comment = line.strip().partition("|")
        if comment == mark and number.isascii() and number.isdigit():
            return number
    return None


def sentence(job: SlurmJob, place: int | None = None) -> str:
    """How the job stands, in a line: `pending: Resources (no nodes are free), 3rd in the queue, starts about 14:20`."""
    words = [_headline(job)]
    if job.status is JobStatus.PENDING:
        if place is not None:
            words.append(f"{_ordinal(place)} in the queue")
        if (start := _clock_time(job)) and job.reason not in _NEVER:
            words.append(f"starts about {start}")
    elif job.nodes:
        words.append(f"on {job.nodes}")
    return ", ".join(words)


def _headline(job: SlurmJob) -> str:
    if job.status is JobStatus.UNKNOWN:
        return f"Slurm says {job.state}"
    state = job.state.lower().replace("_", " ")
    if job.status is JobStatus.PENDING and job.reason:
        meaning = _meaning(job.reason)
        return f"{state}: {job.reason} ({meaning})" if meaning else f"{state}: {job.reason}"
    return f"{state}{_end(job)}"


def _end(job: SlurmJob) -> str:
    """How a job ended that did not end well."""
    if job.status is not JobStatus.FAILED:
        return ""
    ended = f"signal {job.signal}" if job.signal else f"exit code {job.exit_code}" if job.exit_code else ""
    told = [word for word in (job.reason, ended) if word]
    return f": {', '.join(told)}" if told else ""


_NEVER = ("PartitionNodeLimit", "PartitionTimeLimit", "DependencyNeverSatisfied", "BadConstraints", "InvalidAccount")
_MEANINGS = (
    ("Resources", "no nodes are free that fit"),
    ("Priority", "others come first"),
    ("JobHeld", "held: `scontrol release` lets it go"),
    ("Dependency", "waits for another job"),
    ("BeginTime", "its time has not come"),
    ("PartitionNodeLimit", "never starts: more nodes than the partition allows or has"),
    ("PartitionTimeLimit", "never starts: longer than the partition allows"),
    ("PartitionDown", "the partition is closed"),
    ("PartitionInactive", "the partition is closed"),
    ("ReqNodeNotAvail", "nodes that it needs are down or reserved"),
    ("Nodes_required", "nodes that it needs are down or reserved"),
    ("BadConstraints", "never starts: no node is as it asks for"),
    ("InvalidAccount", "never starts: no such account"),
    ("Licenses", "waits for licences"),
    ("QOS", "a limit of the quality of service"),
    ("Assoc", "a limit of the account"),
    ("launch_failed", "it could not be started: `scontrol release` tries again"),
)


def _meaning(reason: str) -> str:
    return next((meaning for beginning, meaning in _MEANINGS if reason.startswith(beginning)), "")


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _clock_time(job: SlurmJob) -> str:
    """When the job starts: the hour where it is the day on which the cluster last thought of it, else the day too."""
    start, asked = _TIME.fullmatch(job.start), _TIME.fullmatch(job.asked)
    if start is None:
        return ""
    same_day = asked is not None and asked.group(1) == start.group(1)
    return start.group(2) if same_day else f"{start.group(1)} {start.group(2)}"
