"""The job of `ugro-tui demo`: the training script that comes with us, on this machine's GPUs or CPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ugro_tui.act.lent import find_bundled
from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import Backend, LaunchRequest
from ugro_tui.core.own_options import OWN_OPTIONS
from ugro_tui.core.ports import Clock

_CPU_RANKS = 2
# Measured with 2 ranks on 2 (busy) CPU cores: 104 s, 4.5 steps/s, the loss falls from 4.7 to 2.1; a record each second.
_CPU_OPTIONS = "--steps 400 --warmup 20 --emit-every 5 --eval-every 100 --checkpoint-every 200"
_PROBE_SECONDS = 20.0
"""For a program that only prints something; without the persistence daemon the GPU's driver takes seconds to wake."""


def demo_request(
    metrics_dir: Path, options: Sequence[str], clock: Clock, *, python: str = sys.executable
) -> LaunchRequest:
    """A run of one to two minutes; `options` of the training script (`--inject nan@200`) are added last and win.

    The job is named after the local time, `demo-<yyyymmdd-hhmmss>`.

    Raises:
        BadInput: an option would give the job another name or place, or is none.
        LaunchError: this installation does not hold the training script.
    """
    _refuse_own_options(options)
    script, _ = find_bundled(Path(__file__).resolve().parents[1])
    job_id = _free_name(metrics_dir, f"demo-{datetime.fromtimestamp(clock.time()):%Y%m%d-%H%M%S}")
    _check_options(script, options, python)
    return LaunchRequest(
        job_id=job_id,
        script=str(script),
        args=(*_CPU_OPTIONS.split(), *options),
        backend=Backend.LOCAL,
        nproc=count_gpus(os.environ) or _CPU_RANKS,
        python=python,
    )


def _free_name(metrics_dir: Path, name: str) -> str:
    """`name`, with a number behind it where a demo of the same second has taken it."""
    names = (name, *(f"{name}-{number}" for number in range(2, 100)))
    return next((free for free in names if not (metrics_dir / free).exists()), name)


def _check_options(script: Path, options: Sequence[str], python: str) -> None:
    """Let the script's own parser read the options before anything is started: it does so before it imports torch.

    Raises:
        BadInput: it does not take them; the message is the parser's own.
    """
    done = subprocess.run(
        [python, str(script), *options, "--help"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        problem = done.stderr.partition("error: ")[2].strip() or done.stderr.strip()
    else:  # asked for help, the parser says nothing of options that it does not know
        unknown = [name for name in options if name.startswith("--") and name.partition("=")[0] not in done.stdout]
        problem = f"no such option: {unknown[0]}" if unknown else ""
    if problem:
        before = "\n" if "\n" in problem else " "  # the lines of a longer answer stay as they are
        raise BadInput(f"the training script: {problem}{before}(all options: {python} {script} --help)")


def count_gpus(environ: Mapping[str, str]) -> int:
    """NVIDIA GPUs that a job may use: those of CUDA_VISIBLE_DEVICES if it is set, else those that nvidia-smi lists.

    Asked without torch, whose import takes seconds.
    """
    listed = sum(line.startswith("GPU ") for line in _run_nvidia_smi().splitlines())
    chosen = environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return listed
    return min(listed, sum(part.strip() not in ("", "-1") for part in chosen.split(",")))


def _run_nvidia_smi() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "-L"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _refuse_own_options(options: Sequence[str]) -> None:
    for option in options:
        if option.partition("=")[0] in OWN_OPTIONS:
            raise BadInput(f"the demo names its job itself: leave {option} out (or use ugro-tui's own --metrics-dir)")
