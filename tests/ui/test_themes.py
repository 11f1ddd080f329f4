"""Whether the themes can be read: contrast by WCAG 2, and colours that who sees red and green alike tells apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from textual.color import Color

from ugro_tui.ui.themes import BY_NAME

SIGNS = ("success", "warning", "error")
TEXTS = (*SIGNS, "accent", "foreground", "text-muted")
Vector = npt.NDArray[np.float64]

# Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB.
SEEN_BY = {
    "deuteranopes": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopes": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}


def linear(color: Color) -> Vector:
    part = np.array(color.normalized, float)
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def contrast(one: Color, other: Color) -> float:
    dark, bright = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (one, other))
    return (bright + 0.05) / (dark + 0.05)


def lab(rgb: Vector) -> Vector:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 1e-9))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def colours(name: str) -> dict[str, Color]:
    shades = BY_NAME[name].to_color_system().generate()
    return {key: Color.parse(shades[key]) for key in (*TEXTS, "surface", "panel") if not shades[key].startswith("auto")}


@pytest.mark.parametrize(("name", "least"), [("light", 4.5), ("colour-blind", 4.5), ("contrast", 7.0)])
def test_all_text_stands_out_from_its_ground(name: str, least: float) -> None:
    shades = colours(name)
    weak = {
        f"{text} on {ground}": round(contrast(shades[text], shades[ground]), 2)
        for text in TEXTS
        for ground in ("surface", "panel")
        if contrast(shades[text], shades[ground]) < least
    }
    assert weak == {}


def test_signs_differ_for_those_who_see_red_and_green_alike() -> None:
    def least(name: str) -> float:
        shades = colours(name)
        seen = [{sign: lab(np.array(eye) @ linear(shades[sign])) for sign in SIGNS} for eye in SEEN_BY.values()]
        pairs = combinations(SIGNS, 2)
        return min(float(np.linalg.norm(eye[one] - eye[other])) for one, other in pairs for eye in seen)

    assert least("colour-blind") > 30 > least("dark")
