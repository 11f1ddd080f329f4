"""Train a decoder-only transformer on text and report every step: one process, or DDP under torchrun.

    python train_production.py --job-id first --steps 500                                    # one rank
    torchrun --standalone --nproc-per-node 2 train_production.py --job-id second --epochs 1  # two ranks
    python train_production.py --help                                                        # all options

One file that reads from top to bottom: 1 options, 2 faults to inject, 3 text, 4 model, 5 checkpoints, 6 the run.
Copy it and change what you like. The lines that make a run visible are the ones that say `emitter`.

A rank is one process (one GPU, or a share of the CPU cores). A step is one optimizer update; steps count from 1.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import math
import os
import re
import signal
import socket
import sys
import sysconfig
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ugro_emitter import MetricsEmitter

# ---------------------------------------------------------------------------------------------------------------
# 1. Options
# ---------------------------------------------------------------------------------------------------------------

FAULT_GRAMMAR = """\
{nan|hang|crash|kill}[:rank=R]@STEP                 at that step: the loss is NaN, the rank stops answering,
                                                    raises an error, or gets SIGKILL
slow-{data|forward|backward}[:rank=R]:DELAYms@STEP  from that step on, each micro-batch is that much slower
Without rank=R, nan hits every rank and the others hit rank 0.
Examples: nan@500  crash:rank=1@400  slow-backward:rank=1:80ms@200"""

FAULT_PATTERN = re.compile(
    r"(?:(?P<sudden>nan|hang|crash|kill)(?P<rank>:rank=\d{1,6})?"
    r"|(?P<slow>slow-(?:data|forward|backward))(?P<slow_rank>:rank=\d{1,6})?:(?P<delay>\d{1,6}(?:\.\d+)?)ms)"
    r"@(?P<step>[1-9]\d{0,11})",
    re.ASCII,
)


TEXT_SUFFIXES = (".py", ".txt", ".md", ".rst")


@dataclass(frozen=True)
class Fault:
    """One parsed `--inject`: `rank` is None for every rank, `delay` is in seconds (0 unless `kind` is slow-*)."""

    text: str
    kind: str
    rank: int | None
    step: int
    delay: float


def parse_fault(text: str) -> Fault:
    """Read one `--inject` value; raises argparse.ArgumentTypeError with the grammar if it is not one."""
    match = FAULT_PATTERN.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a fault. A fault is one of:\n{FAULT_GRAMMAR}")
    kind = match["sudden"] or match["slow"]
    rank_text = match["rank"] or match["slow_rank"]
    everywhere = None if kind == "nan" else 0
    rank = int(rank_text.removeprefix(":rank=")) if rank_text else everywhere
    return Fault(text, kind, rank, int(match["step"]), float(match["delay"] or 0) / 1000)


def parse_job_id(text: str) -> str:
    """The job id names a directory: the same rule as the emitter's, applied with or without it."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text) is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot name a job: use 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
        )
    return text


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


def natural(text: str) -> int:
    """A whole number of at least 0."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def existing_path(text: str) -> Path:
    """A file or folder that is there."""
    path = Path(text).expanduser()
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text} does not exist")
    return path


def option_parser() -> argparse.ArgumentParser:
    """All options with their defaults: sized so that two CPU cores make several steps a second."""
    parser = argparse.ArgumentParser(
        description="Train a small transformer on text, on one rank or with torchrun on many.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"faults for --inject:\n{FAULT_GRAMMAR}\n",
    )
    # fmt: off
    add = parser.add_argument_group("the run").add_argument
    launched = os.environ.get("UGRO_JOB_ID")
    add("--job-id", type=parse_job_id, required=not launched, default=launched,
        help="name of the run and of its directory (what a launcher calls it)")
    add("--steps", type=positive, help="stop after this many optimizer steps")
    add("--epochs", type=positive, help="stop after this many passes over the text (1 if neither is given)")
    add("--seed", type=int, default=1, help="seed of the weights and of the order of the text (%(default)s)")
    add("--dtype", choices=["auto", "fp32", "bf16"], default="auto", help="auto: bf16 on GPUs that have it, else fp32")
    add("--inject", type=parse_fault, action="append", default=[], metavar="FAULT", help="see below; repeatable")

    add = parser.add_argument_group("metrics").add_argument
    add("--enable-metrics", action=argparse.BooleanOptionalAction, default=True, help="records and TensorBoard (on)")
    add("--metrics-dir", type=Path, default=os.environ.get("UGRO_METRICS_DIR") or "~/ugro_data/jobs",
        help="where the job's directory goes (%(default)s)")
    add("--stack-signal", action=argparse.BooleanOptionalAction, default=True,
        help="SIGUSR2 writes the stacks of all threads into the job's directory (on)")
    add("--emit-every", type=positive, default=10, metavar="STEPS", help="steps from record to record (%(default)s)")

    add = parser.add_argument_group("text").add_argument
    add("--data", type=existing_path, metavar="PATH",
        help=f"a file, or a folder with {' '.join(TEXT_SUFFIXES)} (default: the source of Python's standard library)")
    add("--context", type=positive, default=128, metavar="TOKENS", help="tokens a sample (%(default)s)")
    add("--batch-size", type=positive, default=8, metavar="N", help="samples a rank and micro-batch (%(default)s)")
    add("--grad-accum", type=positive, default=1, metavar="N", help="micro-batches a step (%(default)s)")

    add = parser.add_argument_group("model").add_argument
    add("--layers", type=positive, default=3, help="transformer blocks (%(default)s)")
    add("--heads", type=positive, default=4, help="attention heads a block (%(default)s)")
    add("--width", type=positive, default=128, help="numbers that stand for a token (%(default)s)")
    add("--model-name", metavar="NAME", help="instead: a Hugging Face causal LM, id or folder (needs transformers)")

    add = parser.add_argument_group("optimizer").add_argument
    add("--lr", type=float, default=2e-3, help="highest learning rate (%(default)s)")
    add("--min-lr", type=float, default=2e-4, help="learning rate of the last step (%(default)s)")
    add("--warmup", type=natural, default=50, metavar="STEPS", help="steps from 0 to the highest (%(default)s)")
    add("--weight-decay", type=float, default=0.1, help="of matrices (%(default)s)")
    add("--clip", type=float, default=1.0, metavar="NORM", help="largest gradient norm, 0 for no limit (%(default)s)")

    add = parser.add_argument_group("evaluation and checkpoints").add_argument
    add("--eval-every", type=natural, default=100, metavar="STEPS", help="0 for never (%(default)s)")
    add("--eval-batches", type=positive, default=8, metavar="N", help="batches a rank and evaluation (%(default)s)")
    add("--checkpoint-every", type=natural, default=500, metavar="STEPS", help="0 for never (%(default)s)")
    add("--checkpoint-dir", type=Path, help="default: checkpoints/ in the job's directory")
    add("--resume", action="store_true", help="go on from the newest checkpoint, or start if there is none")
    # fmt: on
    return parser


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check what can be checked without torch; exits with code 2 and a message on a wrong option."""
    parser = option_parser()
    args = parser.parse_args(argv)
    if args.width % args.heads:
        parser.error(f"--width {args.width} cannot be split into --heads {args.heads}: choose a multiple")
    if args.steps is None and args.epochs is None:
        args.epochs = 1
    args.metrics_dir = args.metrics_dir.expanduser()
    args.checkpoint_dir = args.checkpoint_dir or args.metrics_dir / args.job_id / "checkpoints"
    return args


def options_told(args: argparse.Namespace) -> dict[str, object]:
    """The options by which two runs are compared: not where a run writes, nor what it is called."""
    own = ("job_id", "metrics_dir", "checkpoint_dir")
    told = {name: value for name, value in vars(args).items() if name not in own}
    return told | {"inject": " ".join(fault.text for fault in args.inject) or None}


# torch takes seconds to import: --help and a mistyped option are answered before.
if __name__ == "__main__":
    ARGUMENTS = parse_arguments()

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.distributed.elastic.multiprocessing.errors import record  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

# ---------------------------------------------------------------------------------------------------------------
# 2. Faults to inject (for demos and tests; none unless --inject is given)
# ---------------------------------------------------------------------------------------------------------------


class Faults:
    """The faults of this rank."""

    def __init__(self, faults: Sequence[Fault], rank: int, world_size: int, total_steps: int) -> None:
        for fault in faults:
            if fault.step > total_steps:
                raise ValueError(f"--inject {fault.text}: there is no step {fault.step}, the last one is {total_steps}")
            if fault.rank is not None and fault.rank >= world_size:
                raise ValueError(
                    f"--inject {fault.text}: there is no rank {fault.rank}, the ranks are 0 to {world_size - 1}"
                )
        self.rank = rank
        self.faults = [fault for fault in faults if fault.rank in (None, rank)]
        self.step = 0

    def begin_step(self, step: int) -> None:
        """Crash, die or hang if it is time to."""
        self.step = step
        for fault in self.faults:
            if fault.step != step or fault.kind not in ("crash", "kill", "hang"):
                continue
            print(f"rank {self.rank}: injected {fault.kind} at step {step}", flush=True)
            if fault.kind == "crash":
                raise RuntimeError(f"injected crash on rank {self.rank} at step {step} (--inject {fault.text})")
            if fault.kind == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()  # a hang: alive, but never at the next collective

    def slow_down(self, kind: str) -> None:
        """Wait as long as the faults of this kind (slow-data, …) say."""
        for fault in self.faults:
            if fault.kind == kind and self.step >= fault.step:
                threading.Event().wait(fault.delay)

    def spoil(self, loss: Tensor) -> Tensor:
        """The loss, or NaN (with NaN gradients, as in a real blow-up) where a nan fault says so."""
        hit = any(fault.kind == "nan" and fault.step == self.step for fault in self.faults)
        return loss * math.nan if hit else loss

    def slow_down_backward_of(self, first_layer: nn.Module) -> None:
        """Delay the backward pass where it reaches the model's first layer.

        There the gradients of that layer are still missing: the wait is this rank's own backward time, and the
        other ranks spend it waiting for the gradients' all-reduce, as with a rank that is really slow.
        """
        if not any(fault.kind == "slow-backward" for fault in self.faults):
            return

        def delay(gradient: Tensor) -> Tensor:
            self.slow_down("slow-backward")
            return gradient

        def watch(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            if output.requires_grad:
                output.register_hook(delay)  # type: ignore[no-untyped-call]

        first_layer.register_forward_hook(watch)


# ---------------------------------------------------------------------------------------------------------------
# 3. Text
# ---------------------------------------------------------------------------------------------------------------

SKIPPED_FOLDERS = {"site-packages", "dist-packages", "node_modules", "__pycache__", ".git", "test", "tests"}
HELD_OUT = 0.05  # share of the text, at its end, that is kept for evaluation


def read_text(path: Path | None) -> bytearray:
    """The bytes of a file or of a folder's text files in sorted order; None is Python's own standard library."""
    root = path or Path(sysconfig.get_path("stdlib"))
    if root.is_file():
        return bytearray(root.read_bytes())
    text = bytearray()
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(set(subfolders) - SKIPPED_FOLDERS)
        for name in sorted(names):
            if name.endswith(TEXT_SUFFIXES):
                text += (Path(folder) / name).read_bytes()
    return text


class Windows:
    """Samples of `context` + 1 tokens out of one long token tensor, without overlap.

    The order is a function of the seed and of the number of samples drawn so far in the whole job, so a resumed
    run goes on where it stopped, and in each epoch every window is drawn once by one of the ranks.
    """

    def __init__(self, tokens: Tensor, context: int, seed: int) -> None:
        self.tokens, self.context, self.seed = tokens, context, seed
        self.count = (len(tokens) - 1) // context
        if self.count < 1:
            raise ValueError(
                f"the text is too short: {len(tokens)} tokens for training or evaluation, and --context {context} "
                f"needs {context + 1}; give more text with --data or a smaller --context"
            )
        self.shuffled = (-1, torch.empty(0))

    def order(self, epoch: int) -> Tensor:
        """The window numbers in the order of this epoch, shape (count,)."""
        if self.shuffled[0] != epoch:
            generator = torch.Generator().manual_seed(self.seed + epoch)
            self.shuffled = (epoch, torch.randperm(self.count, generator=generator))
        return self.shuffled[1]

    def batch(self, first_sample: int, size: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets, each (size, context) int64: samples first_sample … first_sample + size - 1 of the job."""
        samples = range(first_sample, first_sample + size)
        starts = [int(self.order(n // self.count)[n % self.count]) * self.context for n in samples]
        rows = torch.stack([self.tokens[start : start + self.context + 1] for start in starts]).long()
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


# ---------------------------------------------------------------------------------------------------------------
# 4. Model: (inputs, targets) in, mean cross-entropy per token out
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """What fixes the parameters; a checkpoint fits only the shape that it was written with."""

    model_name: str | None
    vocabulary: int
    context: int
    layers: int
    heads: int
    width: int


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in float32; logits (batch, context, vocabulary), targets (batch, context)."""
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


class Block(nn.Module):
    """Causal self-attention, then a two-layer perceptron, each added to the stream after a norm of its input."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.attention_norm = nn.LayerNorm(shape.width)
        self.query_key_value = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.attention_out = nn.Linear(shape.width, shape.width, bias=False)
        self.mlp_norm = nn.LayerNorm(shape.width)
        self.mlp_in = nn.Linear(shape.width, 4 * shape.width, bias=False)
        self.mlp_out = nn.Linear(4 * shape.width, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, context, width) in and out."""
        batch, context, width = x.shape
        qkv = self.query_key_value(self.attention_norm(x)).view(batch, context, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, context, width per head)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        attended: Tensor = self.attention_out(mixed.transpose(1, 2).reshape(batch, context, width))
        x = x + attended
        digested: Tensor = self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(x))))
        return x + digested


class Transformer(nn.Module):
    """A GPT-like language model with learned positions; input and output embedding share their weights."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.token = nn.Embedding(shape.vocabulary, shape.width)
        self.position = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                # What a block adds to the stream starts small, so that the stream does not grow with the depth.
                adds = name.endswith(("attention_out.weight", "mlp_out.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * shape.layers) if adds else 0.02)

    @property
    def first_layer(self) -> nn.Module:
        """The layer whose gradients come last."""
        return self.token

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Both (batch, context) int64."""
        x = self.token(inputs) + self.position.weight[: inputs.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.token.weight)
        return token_loss(logits, targets)


class HuggingFaceModel(nn.Module):
    """Any causal language model of transformers, behind the same call."""

    def __init__(self, language_model: Any) -> None:
        super().__init__()
        self.language_model = language_model
        self.language_model.config.use_cache = False  # a cache of keys and values serves generation only

    @property
    def first_layer(self) -> nn.Module:
        """The layer whose gradients come last."""
        layer: nn.Module = self.language_model.get_input_embeddings()
        return layer

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Both (batch, context) int64."""
        return token_loss(self.language_model(input_ids=inputs).logits, targets)


def load_hugging_face(name: str, text: bytearray, context: int) -> tuple[HuggingFaceModel, Tensor]:
    """The model, and the text as its tokens.

    The model's own tokenizer is used; a folder without tokenizer files is trained on bytes, token n = byte n.
    Raises ModuleNotFoundError without transformers, ValueError where the model cannot take the text.
    """
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"--model-name {name} needs the package transformers ({error}): pip install transformers"
        ) from error
    model = HuggingFaceModel(AutoModelForCausalLM.from_pretrained(name).float())
    limit = getattr(model.language_model.config, "max_position_embeddings", None)
    if limit is not None and context > limit:
        raise ValueError(f"--context {context} is too long for {name}, which takes {limit} tokens: lower it")
    folder = Path(name).expanduser()
    if folder.is_dir() and not any(folder.glob("tokenizer*")) and not any(folder.glob("vocab*")):
        tokens = torch.frombuffer(text, dtype=torch.uint8)
    else:
        tokens = torch.tensor(AutoTokenizer.from_pretrained(name)(text.decode(errors="replace")).input_ids)
    vocabulary = model.language_model.get_input_embeddings().num_embeddings
    if int(tokens.max()) >= vocabulary:
        raise ValueError(
            f"{name} knows {vocabulary} tokens, but the text holds token {int(tokens.max())}: save the model's own "
            "tokenizer in its folder, or take a model of at least 256 tokens"
        )
    return model, tokens


def load_model_and_tokens(args: argparse.Namespace) -> tuple[Transformer | HuggingFaceModel, Tensor, Shape]:
    """The model with its starting weights, the whole text as tokens, and the model's shape."""
    text = read_text(args.data)
    if not text:
        raise ValueError(
            f"{args.data or 'the standard library'} holds no text ({' '.join(TEXT_SUFFIXES)}): give another --data"
        )
    if args.model_name:
        model, tokens = load_hugging_face(args.model_name, text, args.context)
        return model, tokens, Shape(args.model_name, 0, 0, 0, 0, 0)
    shape = Shape(None, 256, args.context, args.layers, args.heads, args.width)
    return Transformer(shape), torch.frombuffer(text, dtype=torch.uint8), shape


# ---------------------------------------------------------------------------------------------------------------
# 5. Optimizer, learning rate, checkpoints
# ---------------------------------------------------------------------------------------------------------------


def learning_rate(step: int, total_steps: int, peak: float, lowest: float, warmup: int) -> float:
    """Linear warm-up that reaches `peak` at step `warmup`, then half a cosine down to `lowest` at `total_steps`."""
    if step <= warmup:
        return peak * step / warmup
    progress = (step - warmup) / max(1, total_steps - warmup)
    return lowest + (peak - lowest) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def make_optimizer(model: nn.Module, weight_decay: float, device: torch.device) -> torch.optim.AdamW:
    """AdamW; the decay is for matrices only: norms and biases have no reason to be near zero."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=device.type == "cuda")


CHECKPOINTS_KEPT = 2


def list_checkpoints(directory: Path) -> list[Path]:
    """Complete checkpoints, the oldest first."""
    return sorted(directory.glob("step-*.pt"))  # the number has leading zeros


def newest_checkpoint(directory: Path, world_size: int) -> Path | None:
    """Where to go on, as rank 0 sees it, or None; called by all ranks."""
    choice = [None, *list_checkpoints(directory)][-1:]
    if world_size > 1:
        dist.broadcast_object_list(choice)
    return choice[0]


def save_checkpoint(directory: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Write step-{step}.pt so that it is there whole or not at all, then drop all but the newest ones."""
    directory.mkdir(parents=True, exist_ok=True)
    cuda_rng = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    rng = {"cpu": torch.get_rng_state(), "cuda": cuda_rng}
    target = directory / f"step-{state['step']:012d}.pt"
    unfinished = target.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        torch.save({**state, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "rng": rng}, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(target)
    for old in list_checkpoints(directory)[:-CHECKPOINTS_KEPT]:
        old.unlink()


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, shape: Shape, rank: int
) -> dict[str, Any]:
    """Restore model, optimizer and (rank 0's) random state; returns the rest: step, tokens, shape.

    Raises FileNotFoundError on a node that does not see rank 0's file, ValueError if it was another model's.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is there for rank 0 but not for rank {rank}: use a --checkpoint-dir on a shared filesystem"
        )
    saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if saved["shape"] != asdict(shape):
        raise ValueError(
            f"{path} holds a model of {saved['shape']}, the options ask for {asdict(shape)}: use the same options"
        )
    model.load_state_dict(saved.pop("model"))
    optimizer.load_state_dict(saved.pop("optimizer"))
    rng = saved.pop("rng")
    if rank == 0:
        torch.set_rng_state(rng["cpu"])
        if rng["cuda"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(rng["cuda"])
    return saved


# ---------------------------------------------------------------------------------------------------------------
# 6. The run
# ---------------------------------------------------------------------------------------------------------------


class NoMetrics:
    """Stands in for the emitter under --no-enable-metrics: the same calls, nothing is written."""

    def __enter__(self) -> NoMetrics:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def instrument(self, model: nn.Module) -> nn.Module:
        """The model as it is."""
        return model

    def phase(self, _name: str) -> contextlib.AbstractContextManager[None]:
        """Measures nothing."""
        return contextlib.nullcontext()

    def emit_step(self, step: int, **_: object) -> None:
        """Writes nothing."""

    def emit_gpu_stats(self) -> dict[str, Any]:
        """Knows nothing."""
        return {}

    def get_tensorboard_writer(self) -> NoMetrics:
        """Itself, as a writer that writes nothing."""
        return self

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """Writes nothing."""


def import_emitter() -> type[MetricsEmitter]:
    """pip-installed, or as a folder beside this script (Python looks there anyway), or from the repository."""
    in_repository = Path(__file__).resolve().parent.parent / "emitter"
    if importlib.util.find_spec("ugro_emitter") is None and (in_repository / "ugro_emitter").is_dir():
        sys.path.append(str(in_repository))
    try:
        from ugro_emitter import MetricsEmitter
    except ImportError as error:
        raise ImportError(
            f"the metrics need the package ugro_emitter ({error}): pip install it, put its folder beside "
            f"{Path(__file__).name}, or train without metrics by --no-enable-metrics"
        ) from error
    return MetricsEmitter


def stop_on_sigterm(patience: float = 5.0) -> None:
    """SIGTERM (from torchrun, Slurm, …) ends the run like Ctrl-C, so that `end: stopped` can still be written.

    Python handles signals between two bytecodes, and a rank that hangs in a collective never gets to the next one.
    So a thread, which the C half of Python's signal handling wakes at once, ends the process `patience` seconds
    later if it is still there.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ours, pythons = socket.socketpair()
    pythons.setblocking(False)
    signal.set_wakeup_fd(pythons.detach())

    def watch() -> None:
        while ours.recv(1) != bytes([signal.SIGTERM]):
            pass
        threading.Event().wait(patience)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, name="sigterm", daemon=True).start()


def evaluate(model: nn.Module, text: Windows, args: argparse.Namespace, rank: int, world_size: int) -> float:
    """Mean loss per token on the held-out text, over all ranks: the same batches each time, different ones per rank."""
    device = next(model.parameters()).device
    loss = torch.zeros((), device=device)
    model.eval()  # no dropout
    with torch.no_grad():
        for n in range(args.eval_batches):
            first_sample = (n * world_size + rank) * args.batch_size
            inputs, targets = (part.to(device) for part in text.batch(first_sample, args.batch_size))
            loss += model(inputs, targets) / args.eval_batches
    model.train()
    if world_size > 1:
        dist.all_reduce(loss)
    return loss.item() / world_size


@record  # under torchrun an exception is also written to this rank's error file
def main(args: argparse.Namespace) -> None:
    """Train as the options say; every rank runs this."""
    # Who am I? torchrun says so in the environment; without it this is the one and only rank.
    rank, local_rank = int(os.environ.get("RANK", 0)), int(os.environ.get("LOCAL_RANK", 0))
    world_size, local_world_size = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if torch.cuda.is_available():
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")  # TF32 where matrices stay in float32
        has_bf16 = torch.cuda.get_device_capability(device)[0] >= 8  # since Ampere
    else:
        device, has_bf16 = torch.device("cpu"), False
        # torchrun allows one thread a rank; the cores are there to be shared out among the ranks of this machine.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // local_world_size))
    use_bf16 = args.dtype == "bf16" or (args.dtype == "auto" and has_bf16)
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=use_bf16)
    if world_size > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    # Text and model. All ranks start from the same seed, and DDP copies rank 0's weights to the others anyway.
    torch.manual_seed(args.seed)
    model, tokens, shape = load_model_and_tokens(args)
    model.to(device).train()
    split = int(len(tokens) * (1 - HELD_OUT))
    train_text = Windows(tokens[:split], args.context, args.seed)
    eval_text = Windows(tokens[split:], args.context, args.seed)
    optimizer = make_optimizer(model, args.weight_decay, device)

    samples_per_step = args.batch_size * args.grad_accum * world_size
    steps_per_epoch = max(1, train_text.count // samples_per_step)
    limits = [args.steps, args.epochs and args.epochs * steps_per_epoch]
    total_steps = min(limit for limit in limits if limit)
    faults = Faults(args.inject, rank, world_size, total_steps)

    # Resume. Rank 0 says from where, because only it writes checkpoints.
    step_done, tokens_seen = 0, 0  # tokens of all ranks
    newest = newest_checkpoint(args.checkpoint_dir, world_size) if args.resume else None
    if newest is not None:
        saved = load_checkpoint(newest, model, optimizer, shape, rank)
        step_done, tokens_seen = saved["step"], saved["tokens"]
    if rank > 0:
        torch.manual_seed(args.seed + 1_000_003 * rank + step_done)  # each rank its own dropout

    stop_on_sigterm()
    metrics: MetricsEmitter | NoMetrics = NoMetrics()
    if args.enable_metrics:
        metrics = import_emitter()(
            args.job_id,
            args.metrics_dir,
            rank,
            args.emit_every,
            world_size=world_size,
            local_rank=local_rank,
            total_steps=total_steps,
            stack_signal=args.stack_signal,
            config=options_told(args),
        )
    with metrics as emitter:  # an exception in here is what `end: failed` will tell
        board = emitter.get_tensorboard_writer()
        faults.slow_down_backward_of(model.first_layer)
        ddp = (
            DistributedDataParallel(model, device_ids=[local_rank] if device.type == "cuda" else None)
            if world_size > 1
            else None
        )
        train_model: nn.Module = emitter.instrument(ddp or model)

        if rank == 0:
            parameters = sum(parameter.numel() for parameter in model.parameters())
            print(
                f"job {args.job_id}: {world_size} ranks on {device.type}, {'bf16' if use_bf16 else 'fp32'}, "
                f"{parameters:,} parameters, {len(tokens):,} tokens of text, "
                f"steps {step_done + 1} to {total_steps} ({steps_per_epoch} an epoch)",
                flush=True,
            )
            if args.resume:
                print(f"resumed from {newest}" if newest else f"nothing to resume in {args.checkpoint_dir}", flush=True)

        window_began, window_tokens = time.perf_counter(), 0  # since the last record, without eval and checkpoints
        unrecorded: dict[str, float] = {}  # what goes into the next record besides the usual
        for step in range(step_done + 1, total_steps + 1):
            faults.begin_step(step)
            loss = torch.zeros((), device=device)

            for micro_batch in range(args.grad_accum):
                with emitter.phase("data"):
                    faults.slow_down("slow-data")
                    drawn = (step - 1) * samples_per_step + (micro_batch * world_size + rank) * args.batch_size
                    inputs, targets = (part.to(device) for part in train_text.batch(drawn, args.batch_size))
                # Only the last micro-batch of a step needs the ranks to exchange gradients.
                last = micro_batch == args.grad_accum - 1
                with contextlib.nullcontext() if last or ddp is None else ddp.no_sync():
                    with emitter.phase("forward"), autocast():
                        faults.slow_down("slow-forward")
                        part_loss = faults.spoil(train_model(inputs, targets)) / args.grad_accum
                    with emitter.phase("backward"):
                        part_loss.backward()
                loss += part_loss.detach()

            with emitter.phase("optimizer"):
                lr = learning_rate(step, total_steps, args.lr, args.min_lr, args.warmup)
                for group in optimizer.param_groups:
                    group["lr"] = lr
                grad_norm = nn.utils.clip_grad_norm_(model.parameters(), args.clip or math.inf)
                # One NaN or infinite gradient would destroy the weights for good, so such a step is left out. The
                # gradients are the same on every rank after the all-reduce: all ranks decide alike.
                finite = bool(torch.isfinite(grad_norm))
                if finite:
                    optimizer.step()
                optimizer.zero_grad(set_to_none=True)

            window_tokens += inputs.numel() * args.grad_accum
            tokens_seen += inputs.numel() * args.grad_accum * world_size
            if args.eval_every and (step % args.eval_every == 0 or step == total_steps):
                paused = time.perf_counter()
                with emitter.phase("eval"), autocast():
                    unrecorded["val_loss"] = evaluate(model, eval_text, args, rank, world_size)
                board.add_scalar("val_loss", unrecorded["val_loss"], step)
                if rank == 0:
                    print(f"step {step:>6}/{total_steps}  val loss {unrecorded['val_loss']:.4f}", flush=True)
                window_began += time.perf_counter() - paused

            # Called every step: the emitter averages step time and phases over the steps from record to record. It
            # records the multiples of emit_every, and a step with a NaN or infinity at once; so does TensorBoard.
            throughput = window_tokens / (time.perf_counter() - window_began)  # tokens/s of this rank
            emitter.emit_step(
                step,
                loss=loss.item(),
                lr=lr,
                grad_norm=grad_norm.item(),
                throughput=throughput,
                epoch=step / steps_per_epoch,
                tokens=tokens_seen,
                **unrecorded,
            )
            if step % args.emit_every == 0 or not finite:
                board.add_scalar("loss", loss.item(), step)
                board.add_scalar("lr", lr, step)
                board.add_scalar("throughput", throughput, step)
                gpu_util = emitter.emit_gpu_stats().get("util")
                if gpu_util is not None:
                    board.add_scalar("gpu_util", gpu_util, step)
                if rank == 0:
                    print(
                        f"step {step:>6}/{total_steps}  loss {loss.item():.4f}  lr {lr:.2e}  "
                        f"grad norm {grad_norm.item():.2f}  {throughput:,.0f} tok/s per rank"
                        f"{'' if finite else '  update skipped'}",
                        flush=True,
                    )
                window_began, window_tokens = time.perf_counter(), 0
                unrecorded = {}

            if args.checkpoint_every and (step % args.checkpoint_every == 0 or step == total_steps):
                paused = time.perf_counter()
                with emitter.phase("checkpoint"):
                    if rank == 0:
                        state = {"step": step, "tokens": tokens_seen, "shape": asdict(shape)}
                        save_checkpoint(args.checkpoint_dir, model, optimizer, state)
                    if world_size > 1:
                        dist.barrier()  # so that no rank seems to stall in training while rank 0 writes
                window_began += time.perf_counter() - paused

    if world_size > 1:
        dist.destroy_process_group()
    if rank == 0:
        print(f"job {args.job_id}: completed {total_steps} steps", flush=True)


if __name__ == "__main__":
    main(ARGUMENTS)
