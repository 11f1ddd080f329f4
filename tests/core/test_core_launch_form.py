"""What is typed into the form of a launch: a request, or an error beside the field that it is about."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.record_lines import job, start
from ugro_tui.core.job import JobState
from ugro_tui.core.launch_form import FIELDS, args_again, free_name, request_of, values_of
from ugro_tui.core.launching import Backend, LaunchPlan, LaunchRequest, LaunchView, SlurmOptions, Stage
from ugro_tui.core.own_options import other_place
from ugro_tui.core.records import Manifest
from ugro_tui.core.snapshot import Snapshot, curve_of, view

NODES = ("gpu-master", "gpu1", "gpu2")


def asked(**values: str) -> LaunchRequest:
    request, errors = request_of({"name": "gpt"} | values, NODES, {"old"})
    assert errors == {}
    return request


def wrong(**values: str) -> dict[str, str]:
    return request_of({"name": "gpt"} | values, NODES, {"old"})[1]


def test_a_name_is_enough() -> None:
    assert asked() == LaunchRequest("gpt", nodes=NODES)
    assert asked(name="  gpt ") == LaunchRequest("gpt", nodes=NODES)


def test_all_fields_of_torchrun_over_ssh() -> None:
    values = {
        "script": "train my.py", "args": "--steps 5 --note 'two words'", "nodes": "gpu2, gpu1", "nproc": "2",
        "python": "/v/bin/python", "workdir": "~/a b", "master_addr": "10.0.0.1", "rendezvous": "c10d",
        "restarts": "3", "env": "NCCL_DEBUG=INFO NOTE='a b' EMPTY=", "secrets": "HF_TOKEN=~/.hf", "sync_code": ".",
        "scope": "user",
    }  # fmt: skip
    assert asked(**values, partition="left over") == LaunchRequest(
        "gpt", "train my.py", ("--steps", "5", "--note", "two words"), Backend.SSH, ("gpu2", "gpu1"), 2,
        "/v/bin/python", "~/a b", "10.0.0.1", "c10d", 3, {"NCCL_DEBUG": "INFO", "NOTE": "a b", "EMPTY": ""},
        {"HF_TOKEN": "~/.hf"}, ".", scope="user",
    )  # fmt: skip


def test_what_another_backend_needs_counts_for_that_one_alone() -> None:
    slurm = {"login": "gpu1", "slurm_nodes": "4", "partition": "p", "time": "1:00", "gpus": "0", "extra": "--qos=long"}
    options = SlurmOptions("gpu1", 4, "p", "", "1:00", 0, ("--qos=long",))
    request = asked(backend="slurm", nodes="nobody", **slurm)
    assert request == LaunchRequest("gpt", backend=Backend.SLURM, slurm=options)
    request, errors = request_of({"name": "gpt", "backend": "local", "nodes": "nobody", "nproc": "2"}, ("local",), ())
    assert (request, errors) == (LaunchRequest("gpt", backend=Backend.LOCAL, nproc=2), {})


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("name", "", "needs a name"),
        ("name", "../up", "is not a job id"),
        ("name", "old", "exists already"),
        ("args", "--note 'two", "no closing quotation: close the quote"),
        (
            "nodes",
            "gpu1,gpu9",
            "no node gpu9 is watched: take of gpu-master, gpu1, gpu2; or quit (training goes on) and",
        ),
        ("nodes", "gpu9", "start `ugro-tui --nodes gpu-master,gpu1,gpu2,gpu9`"),
        ("nodes", ",", "no node is chosen"),
        ("nodes", "gpu[1-2", "position 4: the bracket is not closed: write n[1-3]"),
        ("nodes", "gpu[2-3]", "no node gpu3 is watched"),
        ("backend", "local", "not watched: start `ugro-tui --nodes local,gpu-master,gpu1,gpu2`, or take ssh"),
        ("restarts", "2", "hangs with a static rendezvous"),
        ("nodes", "gpu1 gpu1", "named twice"),
        ("nproc", "0", "no number from 1"),
        ("nproc", "٣", "no number"),
        ("restarts", "-1", "no number from 0"),
        ("env", "1A=2", "no NAME=VALUE"),
        ("env", "NAME", "no NAME=VALUE"),
        ("secrets", "A=", "A has no file: write A=FILE; or A alone to be asked for it"),
        ("secrets", "A 1B=x", "1B is no name of a variable"),
        ("secrets", "A='", "no closing quotation"),
    ],
)
def test_an_error_stands_at_its_field(field: str, typed: str, said: str) -> None:
    errors = wrong(**{field: typed})
    assert list(errors) == [field]
    assert said in errors[field]


def test_no_node_is_watched() -> None:
    _, errors = request_of({"name": "gpt"}, (), ())
    assert "no node is watched yet" in errors["nodes"]


def test_a_job_that_exists_can_be_launched_again_anew_or_from_its_checkpoint() -> None:
    again = asked(name="old", resume="next", args="--steps 5")
    assert (again.resume, again.args) == (True, ("--steps", "5"))
    for args in ("--steps 5", "--steps 5 --resume"):
        assert asked(name="old", resume="resume", args=args).words == ("--steps", "5", "--resume")


def test_a_time_limit_is_one_of_slurm() -> None:
    for time in ("90", "1:30:00", "2-12", "2-12:00:00", "UNLIMITED"):
        assert asked(backend="slurm", time=time).slurm.time == time
    assert "is no time: write minutes" in wrong(backend="slurm", time="12 h")["time"]


def test_a_name_that_is_taken_is_counted_on() -> None:
    assert free_name("gpt", ()) == "gpt"
    assert free_name("gpt", {"gpt", "gpt-2"}) == "gpt-3"
    assert free_name("gpt-9", {"gpt-9"}) == "gpt-10"
    assert free_name("demo-20261126-144928", {"demo-20261126-144928"}) == "demo-20261126-144928-2"


FAILED = Manifest("ssh", "failed", 1, 1, (), 2, None, None)


@pytest.mark.parametrize(
    ("manifest", "lines", "stage", "taken"),
    [
        (FAILED, b"", None, False),
        (FAILED, start(), None, True),
        (replace(FAILED, status="starting"), b"", None, True),
        (replace(FAILED, status="starting"), b"", Stage.FAILED, False),
        (replace(FAILED, status="running"), start(), Stage.FAILED, True),
        (replace(FAILED, status="starting"), b"", Stage.VERIFYING, True),
        (replace(FAILED, status="stopped"), b"", None, True),
    ],
)
def test_the_name_of_a_launch_that_came_to_nothing_is_free(
    manifest: Manifest, lines: bytes, stage: Stage | None, taken: bool
) -> None:
    state = job(lines) if lines else JobState("job")
    state.apply_manifest(manifest)
    plan = LaunchPlan(LaunchRequest("job"), 1, 1, "")
    launch = None if stage is None else LaunchView("job", stage, plan=plan)
    shown = Snapshot(jobs=(view(state, 50.0, curve_of(state)),), listed=("older",), launch=launch)
    assert shown.taken == {"older", *(["job"] if taken else ())}


words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Z")), min_size=1)
names = st.from_regex(r"[A-Z_]{1,8}", fullmatch=True)
requests = st.builds(
    LaunchRequest,
    job_id=st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True),
    script=words.map(str.strip),
    args=st.lists(words).map(tuple),
    nodes=st.permutations(NODES).map(tuple),
    nproc=st.none() | st.integers(1, 64),
    rendezvous=st.just("c10d"),
    max_restarts=st.integers(0, 9),
    environment=st.dictionaries(names, words),
    secrets=st.dictionaries(names, st.just("") | words),
    resume=st.booleans(),
    scope=st.sampled_from(("auto", "user", "none")),
)


@settings(max_examples=50)
@given(requests, st.sampled_from((Backend.SSH, Backend.SLURM)))
def test_a_form_that_is_filled_in_from_a_request_asks_for_the_same(request: LaunchRequest, backend: Backend) -> None:
    slurm = SlurmOptions("gpu1", 4, "p", "a", "1:00", 0, ("--qos=long",))
    if backend is Backend.SLURM:
        request = replace(request, backend=backend, slurm=slurm, rendezvous="static", max_restarts=0)
        request = replace(request, nodes=(), scope="auto")
    found, errors = request_of(values_of(request, NODES), NODES, ())
    assert (found, errors) == (request, {})


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(codec="utf-8"))))
def test_arguments_arrive_as_a_shell_would_give_them(args: list[str]) -> None:
    assert asked(args=shlex.join(args)).args == tuple(args)


def test_arguments_that_name_another_job_are_wrong_and_another_launch_is_not_offered_them() -> None:
    assert asked(args="--job-id gpt --metrics-dir ~/jobs").args[:2] == ("--job-id", "gpt")
    assert "--job-id demo-28 is another job than gpt" in wrong(args="--job-id demo-28")["args"]
    assert "leave --job-id out" in wrong(args="--steps 5 --job-id=demo-28")["args"]
    recalled = LaunchRequest("demo-28", args=("--job-id", "demo-28", "--lr", "1", "--metrics-dir=/jobs", "--job-id-x"))
    assert values_of(recalled, NODES)["args"] == "--lr 1 --job-id-x"
    assert args_again("--metrics-dir /a --note 'two words' --job-id demo-28") == "--note 'two words'"
    assert args_again("--note  'as it was typed'") == "--note  'as it was typed'"
    assert args_again("--job-id 'half") == "--job-id 'half"


@pytest.mark.parametrize(
    ("words", "elsewhere"),
    [
        ((), False),
        (("--metrics-dir", "/home/you/jobs/"), False),
        (("--metrics-dir=~/jobs",), False),
        (("--metrics-dir", "../jobs"), False),
        (("--metrics-dir=/other", "--metrics-dir", "/home/you/jobs"), False),
        (("--metrics-dir", "~/bs"), True),
        (("--metrics-dir=/other",), True),
        (("--metrics-dir", "jobs"), True),
    ],
)
def test_arguments_that_name_another_place_are_told_from_those_that_name_this_one(
    words: tuple[str, ...], elsewhere: bool
) -> None:
    why = other_place(words, "/home/you/jobs", "/home/you/work")
    assert ("is not /home/you/jobs" in why and "leave --metrics-dir out" in why) if elsewhere else not why


def test_every_field_has_a_name_of_its_own() -> None:
    assert len({field.name for field in FIELDS}) == len(FIELDS)
