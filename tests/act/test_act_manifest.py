"""What job.json says of the launcher."""

from __future__ import annotations

import getpass
import os

import pytest

from ugro_tui.act.manifest import this_user


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert this_user() == str(os.getuid())
