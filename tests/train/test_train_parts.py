"""The parts of the script that can be looked at without a run."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.writing import wait_until
from train.train_production import (
    CHECKPOINTS_KEPT,
    Faults,
    Shape,
    Transformer,
    Windows,
    learning_rate,
    list_checkpoints,
    load_checkpoint,
    make_optimizer,
    newest_checkpoint,
    parse_fault,
    read_text,
    save_checkpoint,
)

SHAPE = Shape(model_name=None, vocabulary=256, context=16, layers=2, heads=2, width=16)


def rate(step: int) -> float:
    """A schedule of 100 steps, 10 of them warm-up, from 1.0 down to 0.1."""
    return learning_rate(step, total_steps=100, peak=1.0, lowest=0.1, warmup=10)


def test_the_learning_rate_rises_in_a_line_and_falls_in_half_a_cosine() -> None:
    assert [rate(1), rate(5), rate(10)] == pytest.approx([0.1, 0.5, 1.0])
    assert rate(55) == pytest.approx(0.55), "half way down"
    assert rate(100) == pytest.approx(0.1)
    falling = [rate(step) for step in range(10, 101)]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize(("total", "warmup"), [(1, 0), (1, 1), (5, 50), (50, 50)])
def test_the_learning_rate_of_odd_schedules_stays_in_its_range(total: int, warmup: int) -> None:
    rates = [learning_rate(step, total, 1.0, 0.1, warmup) for step in range(1, total + 1)]
    assert all(0 < rate <= 1.0 for rate in rates)


def test_each_window_is_drawn_once_an_epoch_by_one_rank() -> None:
    windows = Windows(torch.arange(24 * 8 + 1), context=8, seed=3)
    epochs = []
    for epoch in range(2):
        drawn = [windows.batch(epoch * 24 + first, 4) for first in range(0, 24, 4)]  # 6 ranks, or 6 steps
        starts = [int(row[0]) for inputs, _ in drawn for row in inputs]
        assert sorted(starts) == [8 * n for n in range(24)]
        epochs.append(starts)
    assert epochs[0] != epochs[1], "each epoch has an order of its own"


def test_targets_are_the_next_tokens_and_the_order_follows_from_the_seed() -> None:
    tokens = torch.arange(1000)
    inputs, targets = Windows(tokens, context=8, seed=3).batch(20, 4)
    assert inputs.shape == targets.shape == (4, 8)
    assert torch.equal(targets, inputs + 1)
    assert torch.equal(inputs, Windows(tokens, context=8, seed=3).batch(20, 4)[0])
    assert not torch.equal(inputs, Windows(tokens, context=8, seed=4).batch(20, 4)[0])


def test_a_text_shorter_than_one_window_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="--context 8 needs 9; give more text"):
        Windows(torch.arange(8), context=8, seed=1)


def test_a_folder_is_read_in_order_without_binaries_and_installed_packages(tmp_path: Path) -> None:
    for name, content in {"b.txt": "B", "a.py": "A", "sub/c.md": "C", "site-packages/x.py": "X", "d.bin": "D"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert read_text(tmp_path) == b"ABC"
    assert read_text(tmp_path / "d.bin") == b"D", "a file is taken as it is"


def test_the_default_text_is_the_standard_library() -> None:
    text = read_text(None)
    assert len(text) > 1_000_000
    assert b"class ArgumentParser(" in text


def test_no_position_sees_a_later_token() -> None:
    torch.manual_seed(0)
    model = Transformer(SHAPE)
    seen: list[torch.Tensor] = []
    model.norm.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    tokens = torch.randint(0, 256, (1, 16))
    changed = tokens.clone()
    changed[0, 10] = (changed[0, 10] + 1) % 256
    model(tokens, tokens)
    model(changed, changed)
    assert torch.allclose(seen[0][0, :10], seen[1][0, :10])
    assert not torch.allclose(seen[0][0, 10], seen[1][0, 10])


def test_an_untrained_model_guesses_evenly_and_learns_one_batch() -> None:
    torch.manual_seed(0)
    model = Transformer(SHAPE)
    inputs, targets = torch.randint(0, 256, (2, 4, 16)).unbind()
    optimizer = make_optimizer(model, 0.0, torch.device("cpu"))
    first = model(inputs, targets).item()
    assert first == pytest.approx(math.log(256), rel=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        model(inputs, targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert model(inputs, targets).item() < first - 0.3


def test_a_nan_fault_is_nan_in_loss_and_gradients_at_its_step_only() -> None:
    faults = Faults([parse_fault("nan@2")], rank=0, world_size=1, total_steps=3)
    for step in (1, 2, 3):
        weight = torch.ones((), requires_grad=True)
        faults.begin_step(step)
        loss = faults.spoil(weight * 2)
        loss.backward()  # type: ignore[no-untyped-call]
        assert weight.grad is not None
        assert bool(loss.isnan()) == bool(weight.grad.isnan()) == (step == 2)


def test_a_crash_fault_says_what_it_is() -> None:
    faults = Faults([parse_fault("crash:rank=1@2")], rank=1, world_size=2, total_steps=3)
    faults.begin_step(1)
    with pytest.raises(RuntimeError, match="injected crash on rank 1 at step 2"):
        faults.begin_step(2)
    Faults([parse_fault("crash:rank=1@2")], rank=0, world_size=2, total_steps=3).begin_step(2)


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """An update on random tokens, so that weights and optimizer hold something."""
    tokens = torch.randint(0, 256, (2, 16))
    model(tokens, tokens).backward()
    optimizer.step()
    optimizer.zero_grad()


def make(seed: int) -> tuple[Transformer, torch.optim.AdamW]:
    """A model that differs by its seed, with its optimizer, one update old."""
    torch.manual_seed(seed)
    model = Transformer(SHAPE)
    optimizer = make_optimizer(model, 0.1, torch.device("cpu"))
    one_step(model, optimizer)
    return model, optimizer


def test_a_checkpoint_restores_weights_optimizer_and_random_state(tmp_path: Path) -> None:
    model, optimizer = make(1)
    save_checkpoint(tmp_path, model, optimizer, {"step": 5, "tokens": 640, "shape": vars(SHAPE)})
    one_step(model, optimizer)  # what would have come next

    other, other_optimizer = make(2)
    newest = newest_checkpoint(tmp_path, world_size=1)
    assert newest is not None
    saved = load_checkpoint(newest, other, other_optimizer, SHAPE, rank=0)
    assert saved == {"step": 5, "tokens": 640, "shape": vars(SHAPE)}
    one_step(other, other_optimizer)
    for expected, restored in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(expected, restored)


def test_only_the_newest_checkpoints_stay_and_unfinished_ones_are_not_seen(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "none", world_size=1) is None
    model, optimizer = make(1)
    for step in (9, 10, 100, 1000):
        save_checkpoint(tmp_path, model, optimizer, {"step": step, "tokens": 0, "shape": vars(SHAPE)})
    (tmp_path / "step-000000002000.tmp").write_bytes(b"half")
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-000000000100.pt", "step-000000001000.pt"]
    assert CHECKPOINTS_KEPT == 2
    assert newest_checkpoint(tmp_path, world_size=1) == tmp_path / "step-000000001000.pt"


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_ones(tmp_path: Path) -> None:
    model, optimizer = make(1)
    save_checkpoint(tmp_path, model, optimizer, {"step": 1, "tokens": 0, "shape": vars(SHAPE)})
    (tmp_path / "step-000000000002.tmp").mkdir()  # the file cannot be opened
    with pytest.raises(IsADirectoryError):
        save_checkpoint(tmp_path, model, optimizer, {"step": 2, "tokens": 0, "shape": vars(SHAPE)})
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-000000000001.pt"]


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    model, optimizer = make(1)
    wider = {**vars(SHAPE), "width": 32}
    save_checkpoint(tmp_path, model, optimizer, {"step": 1, "tokens": 0, "shape": wider})
    with pytest.raises(ValueError, match=r"holds a model of .*'width': 32.* the options ask for .*'width': 16"):
        load_checkpoint(list_checkpoints(tmp_path)[0], model, optimizer, SHAPE, rank=0)
    with pytest.raises(FileNotFoundError, match="shared filesystem"):
        load_checkpoint(tmp_path / "gone.pt", model, optimizer, SHAPE, rank=1)


def sleeps(pid: int) -> bool:
    """Whether the main thread of a process waits in the kernel."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_sigterm_ends_a_process_that_never_gets_back_to_python() -> None:
    # The second lock of a plain mutex blocks for good, without the interpreter's lock, as a dead collective does.
    program = (
        "import ctypes\n"
        "from train.train_production import stop_on_sigterm\n"
        "stop_on_sigterm(patience=0.1)\n"
        "libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(256)\n"
        "libc.pthread_mutex_lock(mutex)\n"
        "print('locked', flush=True)\n"
        "libc.pthread_mutex_lock(mutex)\n"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        wait_until(lambda: sleeps(process.pid))  # in the second lock: before it, Python itself would hear the signal
        process.terminate()
        try:
            assert process.wait(timeout=30) == 128 + signal.SIGTERM
        finally:
            process.kill()
