"""Writes what a training run does to plain files on its node, and never makes the training wait.

    from ugro_emitter import MetricsEmitter

    with MetricsEmitter("my-run") as emitter:
        for step, batch in enumerate(loader):
            ...
            emitter.emit_step(step, loss=loss, lr=lr)

The files are described in PROTOCOL.md beside this package. Nothing but the standard library is needed; torch,
tensorboard, pynvml and orjson are used where they are installed.
"""

from .emitter import MetricsEmitter
from .version import PROTOCOL_VERSION, __version__

__all__ = ["PROTOCOL_VERSION", "MetricsEmitter", "__version__"]
