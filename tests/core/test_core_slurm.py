"""What Slurm's commands print, made into states and sentences. The texts were printed by Slurm 22.05."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ugro_tui.core.slurm import Queue, SlurmJob, from_sacct, from_scontrol, marked, sentence
from ugro_tui.core.states import JobStatus
from ugro_tui.core.text import visible

SHOWN = """JobId={number} JobName=gpt-small
   UserId=root(0) GroupId=root(0) MCS_label=N/A
   Priority=4294901757 Nice=0 Account=(null) QOS=(null)
   JobState={state} Reason={reason} Dependency=(null)
   Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode={code}
   SubmitTime=2026-11-26T05:23:14 EligibleTime=2026-11-26T05:23:14
   StartTime={start} EndTime=Unknown Deadline=N/A
   SuspendTime=None SecsPreSuspend=0 LastSchedEval=2026-11-26T05:23:15 Scheduler=Main
   Partition=gpu AllocNode:Sid=localhost:27221
   ReqNodeList=(null) ExcNodeList=(null)
   NodeList={nodes}
   BatchHost=n1
   Command=(null)
   Comment=a JobState=RUNNING Reason=mine
   WorkDir=/data NodeList=n9
"""


def shown(state: str, reason: str = "None", code: str = "0:0", start: str = "Unknown", nodes: str = "") -> SlurmJob:
    job = from_scontrol(SHOWN.format(number=12, state=state, reason=reason, code=code, start=start, nodes=nodes))
    assert job is not None
    return job


@pytest.mark.parametrize(
    ("job", "place", "status", "words"),
    [
        (
            shown("PENDING", "Resources", start="2026-11-26T14:20:00"),
            3,
            JobStatus.PENDING,
            "pending: Resources (no nodes are free that fit), 3rd in the queue, starts about 14:20",
        ),
        (
            shown("PENDING", "Priority", start="2026-11-28T01:00:00"),
            112,
            JobStatus.PENDING,
            "pending: Priority (others come first), 112th in the queue, starts about 2026-11-28 01:00",
        ),
        (
            shown("PENDING", "PartitionNodeLimit", start="2026-11-28T01:00:00"),
            None,
            JobStatus.PENDING,
            "pending: PartitionNodeLimit (never starts: more nodes than the partition allows or has)",
        ),
        (shown("PENDING", "SomethingNew"), 22, JobStatus.PENDING, "pending: SomethingNew, 22nd in the queue"),
        (shown("CONFIGURING", nodes="n[1-2]"), None, JobStatus.PENDING, "configuring"),
        (shown("RUNNING", nodes="n[1-2,7]"), None, JobStatus.RUNNING, "running, on n[1-2,7]"),
        (shown("COMPLETING", nodes="n1"), None, JobStatus.RUNNING, "completing, on n1"),
        (shown("COMPLETED", nodes="n1"), None, JobStatus.FINISHED, "completed, on n1"),
        (shown("CANCELLED"), None, JobStatus.STOPPED, "cancelled"),
        (shown("FAILED", "NonZeroExitCode", "3:0", nodes="n1"), None, JobStatus.FAILED,
         "failed: NonZeroExitCode, exit code 3, on n1"),
        (shown("FAILED", "RaisedSignal:9", "0:9"), None, JobStatus.FAILED, "failed: RaisedSignal:9, signal 9"),
        (shown("TIMEOUT", "TimeLimit", "0:15"), None, JobStatus.FAILED, "timeout: TimeLimit, signal 15"),
        (shown("NODE_FAIL", "NodeDown"), None, JobStatus.FAILED, "node fail: NodeDown"),
        (shown("OUT_OF_MEMORY", "OutOfMemory"), None, JobStatus.FAILED, "out of memory: OutOfMemory"),
        (shown("DREAMING"), None, JobStatus.UNKNOWN, "Slurm says DREAMING"),
    ],
)  # fmt: skip
def test_a_job_is_told_in_a_sentence(job: SlurmJob, place: int | None, status: JobStatus, words: str) -> None:
    assert (job.status, sentence(job, place)) == (status, words)


def test_exit_codes_are_known_when_it_is_over_alone() -> None:
    assert (shown("RUNNING").exit_code, shown("RUNNING").signal) == (None, None)
    assert (shown("COMPLETED").exit_code, shown("COMPLETED").signal) == (0, None)
    assert (shown("FAILED", code="3:0").exit_code, shown("FAILED", code="0:9").signal) == (3, 9)


def test_sacct_tells_the_same() -> None:
    text = "11|FAILED|3:0|n1|2026-11-26T05:23:15|Unknown|gpu\n12|CANCELLED by 1000|0:0|n[1-2]|Unknown|Unknown|gpu\n"
    assert from_sacct(text, "12") == SlurmJob("12", "CANCELLED", "", "n[1-2]", "gpu", exit_code=0)
    assert from_sacct(text, "1") is None
    assert from_sacct("Slurm accounting storage is disabled\n", "12") is None


LISTED = """2026-11-26T05:23:15
7|PENDING|Priority|cpu||N/A
3_[1-9]|PENDING|Resources|gpu||2026-11-26T14:20:00
6|RUNNING|None|gpu|n[1-2,7]|2026-11-26T05:23:15
8|PENDING|Priority|cpu,gpu||N/A
12|PENDING|Priority|gpu||2026-11-26T14:20:00
9|PENDING|ReqNodeNotAvail, UnavailableNodes:n[1-3]|gpu||N/A
"""


def test_a_queue_tells_of_all_jobs_and_of_the_place_in_the_partitions_of_each() -> None:
    queue = Queue.of(LISTED)
    found, running = queue.job("12"), queue.job("6")
    assert found is not None
    assert running is not None
    assert sentence(found, queue.place(found)) == (
        "pending: Priority (others come first), 3rd in the queue, starts about 14:20"
    )
    assert (sentence(running), queue.place(running)) == ("running, on n[1-2,7]", None)
    assert queue.job("13") is None
    assert queue.place(shown("PENDING")) == 3
    assert Queue.of(LISTED.partition("12|")[0]).place(shown("PENDING")) is None


def test_a_launch_is_known_by_its_mark() -> None:
    lines = ["7|(null)", "8|ugro:12", "9|ugro:123|x", "10|ugro:123"]
    assert marked(lines, "ugro:123") == "10"
    assert marked(lines, "ugro:1") is None


@given(st.text(max_size=200))
def test_whatever_is_printed_breaks_nothing(text: str) -> None:
    assert from_scontrol(text) is None
    assert from_sacct(text, "12") is None
    assert Queue.of(text).place(shown("PENDING")) is None
    assert marked(text.splitlines(), "ugro:1") is None
    told = from_scontrol(SHOWN.format(number=12, state="PENDING", reason=text, code=text, start=text, nodes=text))
    assert told is not None
    assert visible(sentence(told)) == sentence(told)
