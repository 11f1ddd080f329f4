"""Who a process is: job ids that are refused, and what comes from torchrun's and Slurm's environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from ugro_emitter import MetricsEmitter
from ugro_emitter.identity import JobFiles, resolve_folder, resolve_identity

BAD_JOB_IDS = [
    "", ".", "..", "../x", "a/b", "/abs", "-rf", ".hidden", "_x", "a b", "a\n", "a\x00", "ä",
    "x" * 65, "a\\b", "[red]", "$(id)",
]  # fmt: skip


@pytest.mark.parametrize("job_id", BAD_JOB_IDS)
def test_a_job_id_that_is_no_folder_name_is_refused_by_name(job_id: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is refused") as refusal:
        MetricsEmitter(job_id, tmp_path)
    assert repr(job_id) in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("job_id", [7, b"job", Path("job")])
def test_a_job_id_that_is_no_text_is_refused(job_id: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is refused"):
        MetricsEmitter(job_id, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize("job_id", ["a", "7", "Run-1.b_2", "x" * 64, "a..b"])
def test_a_job_id_of_the_protocol_is_taken(job_id: str) -> None:
    assert resolve_identity({}, job_id=job_id).job_id == job_id


def test_no_job_id_anywhere_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"pass MetricsEmitter\(job_id=\.\.\.\) or set UGRO_JOB_ID"):
        resolve_identity({"TORCHELASTIC_RUN_ID": "none", "SLURM_JOB_ID": ""})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"UGRO_JOB_ID": "u", "SLURM_JOB_ID": "5", "TORCHELASTIC_RUN_ID": "t"}, "u"),
        ({"SLURM_JOB_ID": "5", "TORCHELASTIC_RUN_ID": "t"}, "5"),
        ({"TORCHELASTIC_RUN_ID": "t"}, "t"),
    ],
)
def test_job_id_from_the_environment(environ: dict[str, str], expected: str) -> None:
    assert resolve_identity(environ).job_id == expected
    assert resolve_identity(environ, job_id="given").job_id == "given"


def test_a_bad_job_id_in_the_environment_is_refused_naming_the_variable() -> None:
    with pytest.raises(ValueError, match="SLURM_JOB_ID"):
        resolve_identity({"SLURM_JOB_ID": "../5"})


def test_ranks_come_from_torchrun_then_slurm_then_one_process() -> None:
    slurm = {"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1"}
    torchrun = {**slurm, "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "2"}
    found = [resolve_identity(environ, job_id="j") for environ in (torchrun, slurm, {})]
    assert [(who.rank, who.world_size, who.local_rank) for who in found] == [(3, 4, 2), (5, 8, 1), (0, 1, 0)]
    given = resolve_identity(torchrun, job_id="j", rank=1, world_size=2, local_rank=0)
    assert (given.rank, given.world_size, given.local_rank) == (1, 2, 0)


def test_a_rank_without_a_world_size_makes_its_world_large_enough() -> None:
    assert resolve_identity({}, job_id="j", rank=3).world_size == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": -1}, "rank must be"),
        ({"rank": True}, "rank must be"),
        ({"rank": 2, "world_size": 2}, "ranks run from 0 to 1"),
        ({"world_size": 0}, "world_size must be"),
        ({"emit_every": 0}, "emit_every must be"),
        ({"emit_every": 1.5}, "emit_every must be"),
        ({"total_steps": -1}, "total_steps must be"),
        ({"attempt": 0}, "attempt must be"),
        ({"heartbeat_interval": 0}, "heartbeat_interval must be"),
        ({"heartbeat_interval": 2.5}, "heartbeat_interval must be"),
        ({"heartbeat_interval": float("nan")}, "heartbeat_interval must be"),
    ],
)
def test_nonsense_is_refused_when_the_emitter_is_made(arguments: dict[str, int], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        MetricsEmitter("job", tmp_path, **arguments)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_rank_that_is_no_number_names_its_variable() -> None:
    with pytest.raises(ValueError, match="RANK='zero' is not an integer"):
        resolve_identity({"RANK": "zero"}, job_id="j")


def test_the_folder_is_the_argument_then_the_variable_then_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_folder(None, {}) == tmp_path / "ugro_data" / "jobs"
    assert resolve_folder(None, {"UGRO_METRICS_DIR": "~/m"}) == tmp_path / "m"
    assert resolve_folder("~/given", {"UGRO_METRICS_DIR": "~/m"}) == tmp_path / "given"


def test_files_of_rank_zero_and_of_another_rank() -> None:
    names = [(files.metrics.name, files.heartbeat.name) for files in (JobFiles(Path("j"), 0), JobFiles(Path("j"), 12))]
    assert names == [
        ("metrics.jsonl", "heartbeat.rank-0.json"),
        ("metrics.rank-12.jsonl", "heartbeat.rank-12.json"),
    ]
    assert str(JobFiles(Path("j"), 3).tensorboard) == "j/tensorboard/rank_3"
    assert str(JobFiles(Path("j"), 3).error) == "j/errors/rank_3.json"


def test_a_disabled_emitter_has_the_same_calls_and_writes_nothing(tmp_path: Path) -> None:
    with MetricsEmitter(None, tmp_path, enabled=False) as emitter:
        for phase in ("data", "eval"):
            with emitter.phase(phase):
                emitter.emit_step(1, loss=1.0)
        model = object()
        assert emitter.instrument(model) is model
        assert emitter.emit_gpu_stats()["util"] is None
        emitter.get_tensorboard_writer().add_scalar("loss", 1.0, 1)
        assert (emitter.dropped, emitter.run_id, emitter.job_dir) == (0, None, None)
    assert list(tmp_path.iterdir()) == []
