"""One GPU as NVML tells of it: each field on its own, so that one that fails takes no other with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable

FIELDS = (
    "util",
    "mem_used",
    "mem_total",
    "temp",
    "power",
    "power_limit",
    "throttle",
    "ecc",
    "temp_slowdown",
    "remap_failed",
    "lost",
)
"""The keys of a sample: %, bytes, bytes, °C, W, W, names, uncorrected errors since the driver was loaded, °C; whether
memory rows could not be remapped; whether the GPU is lost."""

_THROTTLE = {
    0x2: "applications_clocks",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clocks",
}
"""NVML's clock event reasons (nvml.h, nvmlClocksEventReason*) but idleness (0x1), which slows nothing down."""


_GPU_IS_LOST = 15
"""NVML's error code of a GPU that has fallen off its bus."""


@dataclass(frozen=True)
class CudaDevice:
    """The device that the training thread uses, as CUDA names it inside this process."""

    ordinal: int
    uuid: str | None


class Nvml:
    """NVML through pynvml. Every method may block for as long as the driver does."""

    def __init__(self) -> None:
        """Raises ImportError without pynvml, and pynvml's NVMLError without a driver."""
        import pynvml

        pynvml.nvmlInit()
        self._nvml = pynvml
        self._slowdown: tuple[Any, int] | None = None
        """A handle, and where that GPU slows down: it does not change."""

    def find(self, device: CudaDevice | None, environ: Mapping[str, str]) -> Any | None:
        """The handle of the GPU this process trains on; None: none, or not certain which.

        By UUID where CUDA tells it. LOCAL_RANK is never used: it says nothing of CUDA_VISIBLE_DEVICES.
        """
        if device is not None and device.uuid is not None:
            return self._by_uuid(f"GPU-{device.uuid}") or self._by_uuid(f"MIG-{device.uuid}")
        visible = self._visible(environ)
        if device is None:
            return self._by_entry(visible[0], environ) if len(visible) == 1 else None
        return self._by_entry(visible[device.ordinal], environ) if device.ordinal < len(visible) else None

    def describe(self, handle: Any) -> dict[str, Any]:
        """Index (NVML's), UUID, name and memory in bytes; null where NVML does not tell."""
        nvml = self._nvml
        return {
            "index": _field(lambda: nvml.nvmlDeviceGetIndex(handle)),
            "uuid": _field(lambda: _text(nvml.nvmlDeviceGetUUID(handle))),
            "name": _field(lambda: _text(nvml.nvmlDeviceGetName(handle))),
            "memory_total": _field(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total),
        }

    def sample(self, handle: Any) -> dict[str, Any]:
        """What the GPU does now, by the keys of FIELDS; null where NVML does not tell."""
        nvml = self._nvml
        errors: list[Exception] = []
        field = partial(_field, errors=errors)
        found = {
            "util": field(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
            "mem_used": field(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used),
            "mem_total": field(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total),
            "temp": field(lambda: self._temperature(handle)),
            "power": field(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1e3),
            "power_limit": field(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1e3),
            "throttle": field(lambda: self._throttle(handle)),
            "ecc": field(lambda: self._uncorrected(handle)),
            "temp_slowdown": field(lambda: self._slows_at(handle)),
            "remap_failed": field(lambda: bool(nvml.nvmlDeviceGetRemappedRows(handle)[3])),
        }
        answered = any(value is not None for value in found.values())
        lost = any(getattr(error, "value", None) == _GPU_IS_LOST for error in errors)
        return {**found, "lost": True if lost else False if answered else None}

    def _temperature(self, handle: Any) -> int:
        return int(self._nvml.nvmlDeviceGetTemperature(handle, self._nvml.NVML_TEMPERATURE_GPU))

    def _slows_at(self, handle: Any) -> int:
        if self._slowdown is not None and self._slowdown[0] is handle:
            return self._slowdown[1]
        nvml = self._nvml
        try:
            limit = int(nvml.nvmlDeviceGetTemperatureThreshold(handle, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN))
        except nvml.NVMLError:
            # Since Hopper only the distance is told, which may be to another sensor: it is asked for each time.
            return self._temperature(handle) + int(nvml.nvmlDeviceGetMarginTemperature(handle))
        self._slowdown = (handle, limit)
        return limit

    def _throttle(self, handle: Any) -> list[str]:
        try:
            reasons = self._nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)
        except (self._nvml.NVMLError, AttributeError):
            # The older name of the same question, for drivers before 535.
            reasons = self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
        return [name for bit, name in _THROTTLE.items() if reasons & bit]

    def _uncorrected(self, handle: Any) -> int:
        nvml = self._nvml
        return int(
            nvml.nvmlDeviceGetTotalEccErrors(handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC)
        )

    def _handles(self) -> list[Any]:
        count = _field(self._nvml.nvmlDeviceGetCount) or 0
        found = [_field(partial(self._nvml.nvmlDeviceGetHandleByIndex, index)) for index in range(count)]
        return [handle for handle in found if handle is not None]

    def _visible(self, environ: Mapping[str, str]) -> list[str]:
        """CUDA's devices in CUDA's order, each an NVML index or (the beginning of) a UUID."""
        text = environ.get("CUDA_VISIBLE_DEVICES")
        if text is None:
            return [str(index) for index in range(len(self._handles()))]
        entries = []
        for entry in (part.strip() for part in text.split(",")):
            # Like CUDA: the first entry that is no device ends the list.
            if not entry.isdecimal() and not entry.startswith(("GPU-", "MIG-")):
                break
            entries.append(entry)
        return entries

    def _by_entry(self, entry: str, environ: Mapping[str, str]) -> Any | None:
        if not entry.isdecimal():
            return self._by_uuid(entry) or self._by_uuid_prefix(entry)
        handles = self._handles()
        names = {_field(partial(self._nvml.nvmlDeviceGetName, handle)) for handle in handles}
        # CUDA numbers the fastest device first unless told otherwise, NVML goes by PCI bus: the same among equals.
        certain = len(names) == 1 or environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
        return handles[int(entry)] if certain and int(entry) < len(handles) else None

    def _by_uuid(self, uuid: str) -> Any | None:
        return _field(lambda: self._nvml.nvmlDeviceGetHandleByUUID(uuid))

    def _by_uuid_prefix(self, prefix: str) -> Any | None:
        """CUDA takes a UUID cut short where it is unique."""
        found = [handle for handle in self._handles() if str(self.describe(handle)["uuid"]).startswith(prefix)]
        return found[0] if len(found) == 1 else None


def _text(value: Any) -> str:
    """Older pynvml returns bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _field(read: Callable[[], Any], errors: list[Exception] | None = None) -> Any | None:
    """One answer, None where there is none: NotSupported, FunctionNotFound, GPU is lost. `errors` takes the error."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - pynvml raises a class of its own for each error, and ctypes its own
        if errors is not None:
            errors.append(error)
        return None
