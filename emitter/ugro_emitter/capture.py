"""Values as the training thread hands them in, made safe to write: plain at once, tensors later.

Nothing here waits for a device. What is not one number is refused with TypeError or ValueError, for the caller
to count.
"""

from __future__ import annotations

import math
import sys
from typing import Any, Union

Scalar = Union[int, float, bool, str]
"""What a captured number looks like; a string is the name of a non-finite one."""

_INT64, _UINT64 = -(2**63), 2**64


def name_non_finite(value: float) -> str:
    """The string that stands for a float that JSON has no number for."""
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def plain(value: Any) -> Scalar:
    """One finite number or the name of a non-finite one.

    numpy scalars, Decimal and the like become Python's numbers; text is no number, also when it reads like one.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        # Wider integers are no number to most JSON readers: a float is, and it is what the reader would make of it.
        return int(value) if _INT64 <= value < _UINT64 else float(value)
    if not isinstance(value, float):
        return _from_object(value)
    number = float(value)
    return number if math.isfinite(number) else name_non_finite(number)


def _from_object(value: Any) -> Scalar:
    item = value.item() if hasattr(value, "item") else value
    if isinstance(item, (bool, int, float)):
        return plain(item)
    if isinstance(item, (str, bytes, bytearray, complex)) or not hasattr(item, "__float__"):
        raise TypeError(f"a {type(value).__name__} is not a number")
    return plain(float(item))


class DeferredScalar:
    """A 0-d tensor, copied in stream order by the thread that trains and read off it."""

    __slots__ = ("_copied", "_tensor")

    def __init__(self, tensor: Any, copied: Any | None) -> None:
        self._tensor = tensor
        self._copied = copied

    def ready(self) -> bool:
        """Whether the copy has left the device, asked without waiting for it."""
        return self._copied is None or bool(self._copied.query())

    def resolve(self) -> Scalar:
        return plain(self._tensor.item())


def is_tensor(value: Any) -> bool:
    """Whether `value` looks like a torch tensor (torch itself is never imported for the question)."""
    return hasattr(value, "detach") and hasattr(value, "clone")


def defer(tensor: Any) -> DeferredScalar:
    """Copy a tensor of one element so that the training may overwrite it.

    Raises ValueError for more elements, and for a distributed tensor that would need a collective to be read:
    from another thread that could hang the whole job.
    """
    if getattr(tensor, "placements", None) is not None:
        if not all(placement.is_replicate() for placement in tensor.placements):
            raise ValueError("a sharded or partial DTensor has no local value: pass tensor.full_tensor()")
        tensor = tensor.to_local()
    own = tensor.detach()
    if hasattr(own, "numel") and own.numel() != 1:
        raise ValueError(f"a tensor of {own.numel()} elements is not a number")
    return _defer_on_gpu(own) if getattr(own, "is_cuda", False) else DeferredScalar(own.clone(), None)


def _defer_on_gpu(tensor: Any) -> DeferredScalar:
    """Queue a copy to pinned host memory behind the kernels that compute the value, and an event behind the copy.

    The writer then only asks the event: a GPU that hangs in a collective can never hold it.
    """
    torch = sys.modules["torch"]
    host = torch.empty_like(tensor, device="cpu", pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    return DeferredScalar(host, torch.cuda.current_stream(tensor.device).record_event())
