"""Numbers as people read them; the same everywhere, so that screen, text and JSON cannot differ in meaning."""

from __future__ import annotations

import math

UNKNOWN = "–"
"""What stands where a number is not known: never zero."""


def plain(value: float, digits: int = 4) -> str:
    """`value` with `digits` significant digits, without an exponent where that is readable (else one digit less)."""
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:,.{decimals}f}"
    return f"{value:.{digits - 2}e}"


def loss_text(value: float, *, bad: bool) -> str:
    """A loss as people read it; `bad`: it is no number any more."""
    return "NaN" if bad else plain(value)


def count(value: float) -> str:
    """A whole number with thousands separated; with an exponent where it is too large for any count."""
    if not math.isfinite(value):
        return UNKNOWN
    return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.1e}"


def counted(number: int, noun: str) -> str:
    """So many of them: 1 rank, 2 ranks, 8,192 ranks."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def counted_bad(number: int, bad: int) -> str:
    """How many points or records there are, and how many of them are no number: `120, 3 no number`."""
    return f"{number:,}{f', {bad:,} no number' if bad else ''}"


def compact(value: float) -> str:
    """A rate or size in at most five characters (a sign is one more): 0.5, 950, 12.3k, 1.2M."""
    if not math.isfinite(value):
        return UNKNOWN
    if 0 < abs(value) < 0.05:
        return f"{value:.0e}" if abs(value) >= 1e-99 else "0"
    for size, unit in ((1e0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T")):
        scaled = value / size
        if abs(scaled) < 999.5:
            whole = abs(scaled) >= 99.95 or (not unit and (abs(scaled) >= 9.95 or scaled.is_integer()))
            return f"{scaled:.{0 if whole else 1}f}{unit}"
    return f"{value:.0e}".replace("e+", "e")


def gibibytes(value: float) -> str:
    """Bytes as GiB with one decimal, from 1,000 of them on as TiB."""
    if not math.isfinite(value):
        return UNKNOWN
    if 999.95 * 2**30 <= abs(value) < 1e5 * 2**30:
        return f"{value / 2**40:.1f}T"
    return f"{value / 2**30:.1f}G" if abs(value) < 1e5 * 2**30 else f"{value / 2**30:.0e}G"


def size(count: int) -> str:
    """A number of bytes in the unit that fits: 512 B, 3.4 KiB, 9.5 MiB, 1,024.0 GiB."""
    if count < 1024:
        return f"{count} B"
    scaled, unit = next(((count / step, unit) for step, unit in _UNITS if count < 1024 * step), (count / 2**30, "GiB"))
    return f"{scaled:,.1f} {unit}"


_UNITS = ((2**10, "KiB"), (2**20, "MiB"), (2**30, "GiB"))


def duration(seconds: float) -> str:
    """A span in its two largest units: 0.4s, 12s, 3m 5s, 2h 7m, 4d 3h."""
    if not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h" if whole < 86400 * 10_000 else ">9999d"


def age(seconds: float) -> str:
    """An age in one unit, at most four characters: 3s, 12m, 5h, 2d."""
    if not math.isfinite(seconds):
        return UNKNOWN
    for limit, size, unit in ((99.5, 1, "s"), (5970, 60, "m"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{max(0.0, seconds) / size:.0f}{unit}"
    return f"{min(999, seconds / 86400):.0f}d"


def clock(seconds: float) -> str:
    """A span as hh:mm:ss; from 10,000 hours on in days."""
    if not math.isfinite(seconds):
        return UNKNOWN
    if seconds >= 10_000 * 3600:
        return duration(seconds)
    whole = int(max(0.0, seconds))
    return f"{whole // 3600:02d}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def phase_time(seconds: float) -> str:
    """How long a phase takes, in at most seven characters up to 10 s: 412 ms, 0.19 ms; nothing takes no time."""
    ms = seconds * 1000
    if math.isnan(ms):
        return UNKNOWN
    if ms >= 0.995:
        return f"{ms:,.0f} ms" if seconds < 9.9995 else f"{seconds:,.1f} s"
    return f"{ms:.2f} ms" if ms >= 0.005 else "<10 µs" if ms > 0 else "0 ms"


def per_step(seconds: float) -> str:
    """Seconds a step as people quote it: s/it, or ms/it below a second."""
    if not math.isfinite(seconds):
        return f"{UNKNOWN} s/it"
    if seconds >= 1:
        return f"{seconds:.2f} s/it" if seconds < 1e5 else f"{seconds:.0e} s/it"
    return f"{seconds * 1000:.0f} ms/it" if seconds >= 0.00995 else f"{seconds * 1e3:.2g} ms/it"
