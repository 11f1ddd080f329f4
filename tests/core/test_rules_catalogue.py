"""The numbers that rules judge by: their defaults, how they are set, and what a wrong setting is told."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.core.record_lines import step
from tests.core.rule_scenes import Scene
from ugro_tui.core.errors import BadInput
from ugro_tui.core.rules.catalogue import DEFAULTS, RULES
from ugro_tui.core.rules.rule import settings


def test_every_rule_has_its_words_and_numbers_that_it_would_accept_itself() -> None:
    assert list(DEFAULTS) == list(RULES)
    for key, rule in RULES.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", key)
        assert all((rule.title, rule.signal, rule.fires, rule.clears, rule.source, rule.next_step)), key
        for number, value in settings(DEFAULTS, key, rule):
            assert value == number.default >= number.least
            assert DEFAULTS.having(f"{key}.{number.name}", number.default)[key][number.name] == number.default
            assert number.means


def test_only_the_plateau_is_off_by_default() -> None:
    assert [key for key in DEFAULTS if not DEFAULTS.enabled(key)] == ["plateau"]


def test_a_number_that_is_set_changes_no_other_and_nothing_that_was_there() -> None:
    changed = DEFAULTS.having("straggler.threshold", "0.5").having("straggler.records", 2)
    assert dict(changed["straggler"]) == dict(DEFAULTS["straggler"]) | {"threshold": 0.5, "records": 2.0}
    assert changed.own == {"straggler": {"threshold": 0.5, "records": 2.0}}
    assert {key: dict(changed[key]) for key in RULES if key != "straggler"} == {
        key: dict(DEFAULTS[key]) for key in RULES if key != "straggler"
    }
    assert DEFAULTS.own == {}
    assert DEFAULTS["straggler"]["threshold"] == 0.75


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("stragler.threshold", 1, "stragler: no such alert: there are: auth_refused, clock_skew, .*throughput_drop"),
        ("", 1, "no such alert"),
        ("straggler", 1, "straggler: no such setting of this alert: there are: straggler.threshold, .*enabled"),
        ("straggler.", 1, "no such setting"),
        ("ecc.threshold", 1, "no such setting of this alert: there are: ecc.enabled"),
        ("straggler.threshold.more", 1, "no such setting"),
        ("straggler.\x1b[31mx", 1, r"straggler\.[^\x1b]+: no such setting"),
        ("gpu_underused.threshold", "eighty", r"'eighty' is not a number from 0 to 100: give percent \(default 80\)"),
        ("gpu_underused.threshold", 700, "700 is not a number from 0 to 100"),
        ("plateau.share", "7", "'7' is not a number from 0.01 to 1"),
        ("gpu_underused.threshold", -1, "-1 is not a number from 0 to 100"),
        ("gpu_underused.threshold", "nan", "not a number"),
        ("gpu_underused.threshold", "inf", "not a number"),
        ("gpu_underused.threshold", None, "not a number"),
        ("gpu_underused.threshold", [80], "not a number"),
        ("gpu_underused.threshold", 10**400, "not a number"),
        ("straggler.records", 0.5, r"0\.5 is not a number from 1 on"),
        ("straggler.enabled", "yes", r"'yes' is not a number from 0 to 1: give 1: judged, 0: not \(default 1\)"),
    ],
)
def test_a_setting_that_cannot_be_used_says_why_and_what_there_is(name: str, value: object, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        DEFAULTS.having(name, value)


def _hot(scene: Scene) -> None:
    scene.beat(0, gpu={"temp": 90})
    scene.tick(0.0)
    scene.beat(0, gpu={"temp": 90})


def _masked(scene: Scene) -> None:
    scene.write(0, step(9, loss=0.0, grad_norm="NaN"))


@pytest.mark.parametrize(("key", "cause", "now"), [("temperature", _hot, 60.0), ("masked_nan", _masked, 0.0)])
def test_a_rule_that_is_switched_off_says_nothing(key: str, cause: Callable[[Scene], None], now: float) -> None:
    for enabled in (1, 0):
        scene = Scene(settings={f"{key}.enabled": enabled})
        scene.steps(range(1, 10))
        cause(scene)
        scene.now = now
        scene.beat(0)
        assert (key in scene.tick()) == bool(enabled)
