"""The object that a training script holds: everything it is told goes to files, and nothing comes back."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from .clock import Clock
from .config import check_config
from .identity import JobFiles, check_integer, resolve_folder, resolve_identity
from .nvml import FIELDS
from .phases import DECLARED_PHASES, STEP_PHASES, Frame
from .run import Run, Settings
from .stacks import check_signal
from .tensorboard import NoTensorBoard

Model = TypeVar("Model")

_LONGEST_HEARTBEAT_INTERVAL = 2.0
"""Seconds; PROTOCOL.md promises readers a heartbeat that often."""

_log = logging.getLogger("ugro_emitter")


class MetricsEmitter:
    """Writes the records and the heartbeat of this rank; use it as a context manager.

    Leaving the `with` block writes how the run ended: an exception as `failed`, Ctrl-C as `stopped`, else
    `completed`. Without `with`, an uncaught exception and the interpreter's exit are noticed too, but not
    `sys.exit(1)`.

    No method raises, waits for a disk, or does anything in a forked child; what is lost that way is counted
    (`dropped`) and said in the heartbeat and in the `end` record.
    """

    def __init__(
        self,
        job_id: str | None = None,
        metrics_dir: str | os.PathLike[str] | None = None,
        rank: int | None = None,
        emit_every: int = 1,
        *,
        world_size: int | None = None,
        local_rank: int | None = None,
        total_steps: int | None = None,
        enabled: bool = True,
        attempt: int | None = None,
        heartbeat_interval: float = 2.0,
        stack_signal: bool | str | int | None = None,
        config: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Begin a run of one rank; what is not given comes from the launcher's environment.

        job_id: 1 to 64 letters, digits, '.', '_' or '-'; else UGRO_JOB_ID, SLURM_JOB_ID, TORCHELASTIC_RUN_ID.
        metrics_dir: the folder of all jobs; else UGRO_METRICS_DIR, else ~/ugro_data/jobs.
        rank, world_size, local_rank: else RANK, WORLD_SIZE, LOCAL_RANK, else Slurm's, else 0, 1, 0.
        emit_every: of the steps told to `emit_step`, write the multiples of this one.
        total_steps: how many steps there will be, for an ETA.
        enabled: False makes an emitter that does nothing and writes no file.
        attempt: 1 for a job's first start; else UGRO_ATTEMPT, else counted from torchrun and the files.
        heartbeat_interval: seconds, at most 2.
        stack_signal: True (SIGUSR2), or a signal that the script has no other use for: has it append the stacks of
            all threads to stacks/rank_{r}.txt, also while Python is stuck; None, False: no handler is installed.
        config: the run's options, as `vars(args)`: numbers and words by name, for comparing it with others. Anybody
            who reads the files reads them: leave out what is secret.

        Raises ValueError when an argument or the environment makes no sense. Nothing else ever raises.
        """
        self._run: Run | None = None
        if not enabled:
            return
        who = resolve_identity(
            os.environ, job_id=job_id, rank=rank, world_size=world_size, local_rank=local_rank, attempt=attempt
        )
        settings = Settings(
            identity=who,
            files=JobFiles(resolve_folder(metrics_dir, os.environ) / who.job_id, who.rank),
            emit_every=check_integer("emit_every", emit_every, 1),
            total_steps=None if total_steps is None else check_integer("total_steps", total_steps, 0),
            heartbeat_interval=_check_interval(heartbeat_interval),
            stack_signal=check_signal(stack_signal),
            config=check_config(config),
        )
        self._open(settings, clock or Clock())

    def emit_step(
        self,
        step: int,
        loss: Any = None,
        lr: Any = None,
        grad_norm: Any = None,
        throughput: Any = None,
        epoch: Any = None,
        *,
        tokens: Any = None,
        **metrics: Any,
    ) -> None:
        """Tell that `step` is done; may be called after every step, by one thread.

        loss, lr, grad_norm; throughput: tokens/s of this rank; tokens: seen so far; further keywords: your own
        scalars. Each a number, a numpy scalar or a tensor of one element; a tensor is copied, not waited for.
        What is none of these is left out and counted.
        """
        run = self._live()
        if run is None:
            return
        try:
            values = (
                ("loss", loss),
                ("lr", lr),
                ("grad_norm", grad_norm),
                ("throughput", throughput),
                ("epoch", epoch),
                ("tokens", tokens),
            )
            run.steps.record(step, values, metrics)
        except Exception as error:  # noqa: BLE001 - the emitter's outer edge: nothing raises into the training
            run.losses.refuse()
            run.losses.fail("emit_step", error)

    def phase(self, name: str) -> Phase:
        """Time a part of the step: `with emitter.phase("data"): …`; data, forward, backward or optimizer.

        Their seconds go into the next record, as a mean a step. `eval` and `checkpoint` belong to no step: they
        write records of their own, and their time is left out of the step time.
        """
        return Phase(self._live(), name)

    def instrument(self, model: Model) -> Model:
        """Split the phase `backward` of this model into its own work and `sync_wait`, the wait for other ranks.

        Before or after it is wrapped by DistributedDataParallel. Returns the model. On a GPU, forward, backward
        and optimizer are then timed by CUDA events, and no thread waits for the GPU. Of a model that is split over
        ranks (FSDP, DTensor parameters; instrument it after the split) no `sync_wait` is told: its ranks wait for
        each other in all phases.
        """
        run = self._live()
        if run is not None:
            try:
                run.watch.attach(model)
            except Exception as error:  # noqa: BLE001 - the emitter's outer edge
                run.losses.fail("instrument", error)
        return model

    def emit_gpu_stats(self) -> dict[str, Any]:
        """The newest sample of this rank's GPU: util %, mem_used B, mem_total B, temp °C, power W, power_limit W,
        throttle (names), ecc, temp_slowdown °C, remap_failed, lost; None for what is not known. It is in the records
        without a call, too.

        Only the first call may wait, at most a second, for the first sample.
        """
        run = self._live()
        try:
            return dict.fromkeys(FIELDS) if run is None else run.gpu.first()
        except Exception:  # noqa: BLE001 - the emitter's outer edge
            return dict.fromkeys(FIELDS)

    def get_tensorboard_writer(self) -> Any:
        """A torch.utils.tensorboard.SummaryWriter for this rank; one that does nothing where that is missing.

        Closed by `close`. Unlike the emitter it may wait for a disk that hangs.
        """
        run = self._live()
        try:
            return NoTensorBoard() if run is None else run.tensorboard.get()
        except Exception:  # noqa: BLE001 - the emitter's outer edge
            return NoTensorBoard()

    def close(self) -> None:
        """End the run as `completed`, waiting at most 2 s for the disk. Further calls do nothing."""
        self._close(None)

    @property
    def dropped(self) -> int:
        """Records lost so far."""
        return 0 if self._run is None else self._run.dropped

    @property
    def run_id(self) -> str | None:
        """Unique to this start of this process; None for an emitter that is not enabled."""
        return None if self._run is None else self._run.run_id

    @property
    def job_dir(self) -> Path | None:
        """The folder of this job; None for an emitter that is not enabled."""
        return None if self._run is None else self._run.settings.files.folder

    def __enter__(self) -> MetricsEmitter:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _callstack: TracebackType | None,
    ) -> None:
        self._close(error)

    def _open(self, settings: Settings, clock: Clock) -> None:
        try:
            run = Run(settings, clock)
            run.open()
            self._run = run
        except Exception as error:  # noqa: BLE001 - no thread to be had: the training goes on unwatched
            _log.warning("ugro_emitter: nothing is emitted: %s: %s", type(error).__name__, error)

    def _live(self) -> Run | None:
        """The run, for the process that it belongs to: not for a forked DataLoader worker."""
        run = self._run
        return run if run is not None and not run.closed and os.getpid() == run.pid else None

    def _close(self, error: BaseException | None) -> None:
        run = self._live()
        if run is None:
            return
        try:
            run.close(error)
        except Exception as failure:  # noqa: BLE001 - the emitter's outer edge
            run.losses.fail("close", failure)


class Phase:
    """A phase as a context manager. Never raises, and lets exceptions pass."""

    __slots__ = ("_frame", "_name", "_run")

    def __init__(self, run: Run | None, name: str) -> None:
        self._run = run
        self._name = name
        self._frame: Frame | None = None

    def __enter__(self) -> None:
        run = self._run
        if run is None:
            return
        try:
            if self._name not in STEP_PHASES and self._name not in DECLARED_PHASES:
                raise ValueError(f"no phase is called {self._name!r}: {', '.join(STEP_PHASES + DECLARED_PHASES)}")
            self._frame = run.enter(self._name)
        except Exception as error:  # noqa: BLE001 - the emitter's outer edge
            run.losses.fail("phase", error)

    def __exit__(self, *_exception: object) -> None:
        run, frame = self._run, self._frame
        if run is None or frame is None:
            return
        try:
            run.leave(frame)
        except Exception as error:  # noqa: BLE001 - the emitter's outer edge
            run.losses.fail("phase", error)


def _check_interval(seconds: float) -> float:
    if isinstance(seconds, (int, float)) and 0 < seconds <= _LONGEST_HEARTBEAT_INTERVAL:
        return float(seconds)
    raise ValueError(f"heartbeat_interval must be more than 0 and at most 2 seconds, not {seconds!r}")
