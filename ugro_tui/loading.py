"""numpy, loaded without what it is not wanted for here."""

from __future__ import annotations

import os
from typing import Final

_THREADS: Final = "OPENBLAS_NUM_THREADS"


def load_numpy() -> None:
    """Import numpy with one thread for its linear algebra, unless somebody has said how many.

    It would begin one for each core: half of what the import takes, and no matrices are multiplied here. The processes
    that this one starts are told nothing of it.
    """
    asked = _THREADS in os.environ
    os.environ.setdefault(_THREADS, "1")
    try:
        import numpy as np  # noqa: F401 - it reads the environment as it is loaded
    finally:
        if not asked:
            del os.environ[_THREADS]
