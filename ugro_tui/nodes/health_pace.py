"""How patiently a machine is asked for its health, which may hang there: the same in place and over SSH."""

from __future__ import annotations

HEALTH_WAIT_SECONDS = 0.25
"""How long an answer about a machine's health waits for what it began to look at: so long may polls be held up."""

HEALTH_FRESH_SECONDS = 5.0
"""What was found so short a time ago is told again rather than looked at again."""
