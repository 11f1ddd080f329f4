"""The backward pass split at the last gradient: a real two-rank DDP run, and the GPU's way with stand-in events."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ugro_emitter import MetricsEmitter, backward

from tests.emitter.support import SetClock, read_records, script_environment, steps_of

TWO_RANKS = """
import os, sys, threading
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from ugro_emitter import MetricsEmitter

dist.init_process_group("gloo")
torch.set_num_threads(1)
rank, where = dist.get_rank(), sys.argv[2]
def slow(phase):
    if rank == 1 and where == phase:
        threading.Event().wait(0.08)
class Slow(torch.autograd.Function):
    @staticmethod
    def forward(context, x): return x.clone()
    @staticmethod
    def backward(context, gradient):
        slow("backward")
        return gradient

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))
with MetricsEmitter("job", sys.argv[1], heartbeat_interval=1.0) as emitter:
    if where == "forward":
        model = emitter.instrument(model)  # before it is wrapped
    model = DistributedDataParallel(model)
    model = emitter.instrument(emitter.instrument(model))  # after it, and twice
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in range(12):
        optimizer.zero_grad()
        for micro in range(2):  # gradient accumulation: only the second micro batch is reduced
            with emitter.phase("data"):
                batch = torch.randn(8, 64)
                if micro == 1: slow("data")
            with emitter.phase("forward"):
                loss = Slow.apply(model(batch)).sum()
                if micro == 1: slow("forward")
            with emitter.phase("backward"):
                if micro == 0:
                    with model.no_sync(): loss.backward()
                else:
                    loss.backward()
        with emitter.phase("optimizer"):
            optimizer.step()
        emitter.emit_step(step, loss=loss)
dist.destroy_process_group()
"""


def mean_phase(folder: Path, rank: int, name: str) -> float:
    steps = steps_of(read_records(folder, rank))
    assert len(steps) == 12
    return float(statistics.median(step["phases"][name] for step in steps))


@pytest.mark.torchrun
@pytest.mark.parametrize("where", ["data", "forward", "backward"])
def test_the_rank_that_waits_least_is_the_slow_one_and_its_longest_phase_says_why(where: str, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(TWO_RANKS)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environ = script_environment({"OMP_NUM_THREADS": "1"})
    command = [*torchrun, str(script), str(tmp_path), where]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "job"
    slow_wait, fast_wait = (mean_phase(folder, rank, "sync_wait") for rank in (1, 0))
    assert fast_wait > 0.05
    assert slow_wait < fast_wait / 2
    phases = {name: mean_phase(folder, 1, name) for name in ("data", "forward", "backward", "optimizer")}
    assert max(phases, key=lambda name: phases[name]) == where
    assert phases[where] > 0.07


def test_without_other_ranks_there_is_next_to_nothing_to_wait_for(tmp_path: Path) -> None:
    model = torch.nn.Sequential(*(torch.nn.Linear(256, 256) for _ in range(8)))
    with MetricsEmitter("job", tmp_path) as emitter:
        assert emitter.instrument(model) is model
        for step in range(5):
            loss = model(torch.randn(64, 256)).sum()
            with emitter.phase("backward"):
                loss.backward()
            emitter.emit_step(step)
    phases = [step["phases"] for step in steps_of(read_records(tmp_path / "job"))]
    assert all(set(each) == {"backward", "sync_wait"} for each in phases)
    assert statistics.median(each["sync_wait"] / each["backward"] for each in phases) < 0.5


SHARDED = """
import logging, sys
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.tensor import Replicate, distribute_module, distribute_tensor
from ugro_emitter import MetricsEmitter

logging.basicConfig()
dist.init_process_group("gloo")
torch.set_num_threads(1)
mesh = init_device_mesh("cpu", (dist.get_world_size(),))
model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
inputs = torch.ones(2, 8)
with MetricsEmitter("job", sys.argv[1], heartbeat_interval=0.1) as emitter:
    how = sys.argv[2]
    if how == "FSDPModule, later":
        emitter.instrument(model)
    if how == "FullyShardedDataParallel":
        model = FullyShardedDataParallel(model, device_id=torch.device("cpu"))
    elif how == "DTensor":
        distribute_module(model, mesh)
        inputs = distribute_tensor(inputs, mesh, [Replicate()])
    else:
        fully_shard(model, mesh=mesh)
    if how != "FSDPModule, later":
        assert emitter.instrument(model) is model
    for step in range(3):
        loss = model(inputs).sum()
        with emitter.phase("backward"):
            loss.backward()
        emitter.emit_step(step)
dist.destroy_process_group()
"""


@pytest.mark.torchrun
@pytest.mark.parametrize("how", ["FSDPModule", "FSDPModule, later", "FullyShardedDataParallel", "DTensor"])
def test_of_a_model_that_is_split_over_ranks_no_wait_is_told(how: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SHARDED)
    ranks = 2 if how == "FSDPModule" else 1
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    command = [*torchrun, str(tmp_path / "train.py"), str(tmp_path), how]
    done = subprocess.run(
        command,
        env=script_environment({"OMP_NUM_THREADS": "1"}),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for rank in range(ranks):
        steps = steps_of(read_records(tmp_path / "job", rank))
        assert [set(step["phases"]) for step in steps] == [{"backward"}] * 3
    said = f"'sync_wait' is left out of the records: the model is split over ranks ({how}), which wait in all phases"
    assert done.stderr.count(said) == (0 if how == "FSDPModule, later" else ranks)


@pytest.mark.parametrize(
    "model", [None, object(), torch.tensor(1.0), torch.nn.ReLU()], ids=["None", "object", "tensor", "module"]
)
def test_instrument_returns_whatever_it_was_given_and_never_raises(model: Any, tmp_path: Path) -> None:
    with MetricsEmitter("job", tmp_path) as emitter:
        assert emitter.instrument(model) is model


def test_frozen_parameters_are_left_alone(tmp_path: Path) -> None:
    model = torch.nn.Linear(4, 1)
    model.bias.requires_grad_(False)
    with MetricsEmitter("job", tmp_path) as emitter:
        emitter.instrument(model)
        assert emitter._run is not None
        assert emitter._run.losses.errors == 0
        model(torch.ones(1, 4)).sum().backward()


class Event:
    """A stand-in for torch.cuda.Event on a GPU whose clock is set by hand; passed when the GPU is there."""

    gpu = SetClock()
    lag = 0.0

    def __init__(self) -> None:
        self.at = float("inf")

    def record(self) -> None:
        self.at = Event.gpu.now + Event.lag

    def query(self) -> bool:
        return Event.gpu.now >= self.at

    def elapsed_time(self, end: Event) -> float:
        return (end.at - self.at) * 1e3


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    Event.gpu, Event.lag = SetClock(), 0.0
    monkeypatch.setattr(backward, "new_event", Event)
    monkeypatch.setattr(backward.BackwardWatch, "on_gpu", property(lambda _self: True))
    return Event.gpu


def test_on_a_gpu_phases_are_what_the_gpu_took(gpu: SetClock, tmp_path: Path) -> None:
    with MetricsEmitter("job", tmp_path) as emitter:
        assert emitter._run is not None
        watch = emitter._run.watch
        for step in range(3):
            with emitter.phase("forward"):
                gpu.advance(2.0)
                with emitter.phase("optimizer"):
                    gpu.advance(0.5)
            with emitter.phase("backward"):
                for _ in range(4):
                    gpu.advance(1.0)
                    watch._on_gradient(None)
                gpu.advance(7.0)
            emitter.emit_step(step)
    phases = [step["phases"] for step in steps_of(read_records(tmp_path / "job"))]
    assert phases == [{"optimizer": 0.5, "forward": 2.0, "sync_wait": 7.0, "backward": 4.0}] * 3


def test_a_pass_with_fewer_gradients_than_the_last_is_not_split_wrongly(gpu: SetClock, tmp_path: Path) -> None:
    with MetricsEmitter("job", tmp_path) as emitter:
        assert emitter._run is not None
        for step, gradients in enumerate((4, 2, 2)):
            with emitter.phase("backward"):
                for _ in range(gradients):
                    gpu.advance(1.0)
                    emitter._run.watch._on_gradient(None)
                gpu.advance(7.0)
            emitter.emit_step(step)
    phases = [step["phases"] for step in steps_of(read_records(tmp_path / "job"))]
    assert phases == [{"sync_wait": 7.0, "backward": 4.0}, {"backward": 9.0}, {"sync_wait": 7.0, "backward": 2.0}]


def test_a_gpu_that_hangs_holds_neither_the_training_nor_the_end(gpu: SetClock, tmp_path: Path) -> None:
    Event.lag = 1e9
    with MetricsEmitter("job", tmp_path) as emitter:
        with emitter.phase("forward"):
            gpu.advance(1.0)
        emitter.emit_step(1, loss=0.5)
    _, step, end = read_records(tmp_path / "job")
    assert (step["loss"], step["phases"]) == (0.5, {})
    assert (end["status"], end["dropped"], end["dropped_values"]) == ("completed", 0, 1)


def test_phases_without_records_do_not_pile_up(gpu: SetClock, tmp_path: Path) -> None:
    with MetricsEmitter("job", tmp_path) as emitter:
        for _ in range(5_000):
            with emitter.phase("forward"):
                gpu.advance(1.0)
        emitter.emit_step(1)
    _, step, end = read_records(tmp_path / "job")
    assert step["phases"] == {"forward": 4096.0}
    assert end["dropped_values"] == 5_000 - 4096
