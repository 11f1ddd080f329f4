"""What the GPUs of a machine say: NVML by ctypes, else `nvidia-smi`. Part of what runs on nodes: see `helper_health`.

Each look opens NVML and closes it again: who holds it open keeps a driver from being replaced, and a GPU from a reset.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from typing import Any, Dict, Iterator, List, Optional, Set

TOOL_SECONDS = 5.0
"""How long nvidia-smi may take before it is ended."""

MAX_LISTED = 256
"""GPUs of one machine that are looked at."""

_MIB = 1 << 20
_NVIDIA, _DISPLAY = "0x10de", "0x03"
_NOT_LOADED, _LOST = 9, 15
"""NVML_ERROR_DRIVER_NOT_LOADED, NVML_ERROR_GPU_IS_LOST."""


def gpus() -> Dict[str, Any]:
    """`gpus`: each by the names of `core.health.GpuHealth`, None for what is not told. Else `error`, or `absent`.

    `absent`: this machine has no NVIDIA GPU, or no driver for it was ever installed.
    """
    try:
        nvml = Nvml()
    except (ImportError, OSError, AttributeError):  # no ctypes, no library, or one that is none
        return _by_tool()
    if nvml.code == _NOT_LOADED and not _on_bus():
        return {"absent": True}
    if nvml.code:
        return {"error": nvml.said(nvml.code)}
    try:
        return nvml.gpus()
    finally:
        nvml.close()


def _on_bus() -> bool:
    """Whether there is an NVIDIA GPU, whatever the driver says."""
    folder = "/sys/bus/pci/devices"
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        place = os.path.join(folder, name)
        if _line(place, "vendor").startswith(_NVIDIA) and _line(place, "class").startswith(_DISPLAY):
            return True
    return False


def _line(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name)) as stream:
            return stream.readline()
    except OSError:
        return ""


class Nvml:
    """The driver's library, opened. `code`: why that failed, 0 where it did not.

    Raises ImportError where Python has no ctypes, OSError where there is no such library.
    """

    def __init__(self) -> None:
        import ctypes

        self._types = ctypes
        self._library = ctypes.CDLL("libnvidia-ml.so.1")
        self._lost = False
        self.code: int = self._library.nvmlInit_v2()

    def close(self) -> None:
        """Let go of the driver."""
        self._library.nvmlShutdown()

    def said(self, code: int) -> str:
        """An error in NVML's own words."""
        try:
            words = self._library.nvmlErrorString
            words.restype = self._types.c_char_p
            return (words(code) or b"").decode("utf-8", "replace") or "NVML error %d" % code
        except AttributeError:
            return "NVML error %d" % code

    def gpus(self) -> Dict[str, Any]:
        """All GPUs that the driver knows."""
        count = self._types.c_uint()
        code = self._library.nvmlDeviceGetCount_v2(self._types.byref(count))
        if code:
            return {"error": self.said(code)}
        found = {"gpus": [], "error": ""}  # type: Dict[str, Any]
        for index in range(min(count.value, MAX_LISTED)):
            handle = self._types.c_void_p()
            code = self._library.nvmlDeviceGetHandleByIndex_v2(index, self._types.byref(handle))
            if not code:
                found["gpus"].append(self._one(index, handle))
            elif code == _LOST:
                found["gpus"].append({"index": index, "lost": True})
            else:
                found["error"] = "GPU %d: %s" % (index, self.said(code))
        return found

    def _one(self, index: int, handle: Any) -> Dict[str, Any]:
        types, self._lost = self._types, False
        uint, wide = types.c_uint, types.c_ulonglong
        memory = self._get("MemoryInfo", wide * 3, handle) or (None, None, None)  # total, free, used
        rows = self._get("RemappedRows", uint, handle, outs=4)
        found = {
            "index": index,
            "uuid": self._text("UUID", handle),
            "name": self._text("Name", handle),
            "util": (self._get("UtilizationRates", uint * 2, handle) or (None,))[0],
            "mem_total": memory[0],
            "mem_used": memory[2],
            "temp": self._value("Temperature", uint, handle, uint(0)),
            "temp_slowdown": self._value("TemperatureThreshold", uint, handle, uint(1)),
            "power": _thousandth(self._value("PowerUsage", uint, handle)),
            "power_limit": _thousandth(self._value("EnforcedPowerLimit", uint, handle)),
            "throttle": self._throttle(handle),
            "ecc": self._value(
                "TotalEccErrors", wide, handle, uint(1), uint(0)
            ),  # uncorrected, since the driver's load
            "remap_failed": None if rows is None else bool(rows[3]),
        }
        found["lost"] = self._lost
        return found

    def _throttle(self, handle: Any) -> Optional[int]:
        found = self._value("CurrentClocksEventReasons", self._types.c_ulonglong, handle)
        if found is None:  # drivers before 535 know the older name only
            found = self._value("CurrentClocksThrottleReasons", self._types.c_ulonglong, handle)
        return None if found is None else int(found)

    def _text(self, name: str, handle: Any) -> str:
        room = self._types.create_string_buffer(96)
        return room.value.decode("utf-8", "replace") if self._call(name, handle, room, self._types.c_uint(96)) else ""

    def _value(self, name: str, kind: Any, handle: Any, *before: Any) -> Any:
        found = self._get(name, kind, handle, *before)
        return None if found is None else found.value

    def _get(self, name: str, kind: Any, handle: Any, *before: Any, outs: int = 0) -> Any:
        """What a call writes: one `kind`, or a list of so many numbers; None where it fails, or is not known here."""
        rooms = [kind() for _ in range(outs or 1)]
        if not self._call(name, handle, *(list(before) + [self._types.byref(room) for room in rooms])):
            return None
        return [room.value for room in rooms] if outs else rooms[0]

    def _call(self, name: str, *words: Any) -> bool:
        function = getattr(self._library, "nvmlDeviceGet" + name, None)
        code = None if function is None else function(*words)
        self._lost = self._lost or code == _LOST
        return code == 0


def _thousandth(value: Optional[int]) -> Optional[float]:
    return None if value is None else value / 1000.0


_PLAIN = ["index", "uuid", "name", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu", "power.draw"]
_MORE = ["enforced.power.limit", "clocks_throttle_reasons.active", "ecc.errors.uncorrected.volatile.total"]
_MORE += ["remapped_rows.failure"]
_KEYS = ["index", "uuid", "name", "util", "mem_used", "mem_total", "temp", "power", "power_limit", "throttle", "ecc"]
_KEYS += ["remap_failed"]

_tools: Set[Any] = set()


def stop_tools() -> None:
    """End the tools that still run."""
    for tool in list(_tools):
        _end(tool)


def _by_tool() -> Dict[str, Any]:
    path = shutil.which("nvidia-smi")
    if path is None:
        return {"error": "there is an NVIDIA GPU, but no driver's library"} if _on_bus() else {"absent": True}
    if any(tool.poll() is None for tool in _tools):  # the driver holds it: another one would hang too
        return {"error": "nvidia-smi hangs, and cannot be ended"}
    _tools.clear()
    code, text = _run([path, "--query-gpu=" + ",".join(_PLAIN + _MORE), "--format=csv,noheader,nounits"])
    if code == 2 or "not a valid field" in text:  # an older driver knows fewer fields
        code, text = _run([path, "--query-gpu=" + ",".join(_PLAIN), "--format=csv,noheader,nounits"])
    if code is None:
        return {"error": "nvidia-smi did not end within %.0f s" % TOOL_SECONDS}
    found = list(rows_of(text))
    if code and not found:
        return {"error": text.strip().split("\n")[0][:300] or "nvidia-smi ended with %d" % code}
    return {"gpus": found, "error": "nvidia-smi ended with %d" % code if code else ""}


def _run(argv: List[str]) -> Any:
    """The exit status, None where it did not end in time, and what it wrote."""
    # A session of its own, so that all that it starts ends with it.
    tool: Any = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    _tools.add(tool)
    try:
        out, _ = tool.communicate(timeout=TOOL_SECONDS)
        return tool.returncode, out[: 1 << 18].decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        _end(tool)
        with contextlib.suppress(subprocess.TimeoutExpired):  # the driver may hold it
            tool.wait(1.0)
        tool.stdout.close()  # nobody reads what it may still write
        return None, ""
    finally:
        if tool.poll() is not None:
            _tools.discard(tool)


def _end(tool: Any) -> None:
    with contextlib.suppress(OSError):  # it has ended
        os.killpg(tool.pid, signal.SIGKILL)


def rows_of(text: str) -> Iterator[Dict[str, Any]]:
    """The GPUs in nvidia-smi's table, for as many of the fields as it has."""
    for line in text.split("\n")[:MAX_LISTED]:
        words = [word.strip() for word in line.split(",")]
        if len(words) < len(_PLAIN) or not words[0].isdigit():
            continue
        row = dict(zip(_KEYS, words))  # type: Dict[str, Any]  # noqa: B905
        found = {"index": int(row["index"]), "uuid": row["uuid"], "name": row["name"], "lost": "GPU is lost" in line}
        found.update((key, _number(row.get(key, ""))) for key in ("util", "temp", "power", "power_limit", "ecc"))
        for key in ("mem_used", "mem_total"):
            size = _number(row[key])
            found[key] = None if size is None else int(size * _MIB)
        bits = row.get("throttle", "")
        found["throttle"] = int(bits, 16) if re.match("0x[0-9a-fA-F]{1,16}$", bits) else None
        found["remap_failed"] = {"0": False, "No": False, "1": True, "Yes": True}.get(row.get("remap_failed", ""))
        yield found


def _number(word: str) -> Optional[float]:
    return float(word) if re.match(r"[0-9]{1,15}(\.[0-9]{1,6})?$", word) else None
