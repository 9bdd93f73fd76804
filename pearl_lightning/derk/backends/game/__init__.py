"""The real game as a backend: gym-derk 1.1.1 in a headless browser, in a separate process.

``GameBackend`` is imported on first access, because the game's process uses this package without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pearl_lightning.derk.backends.game.backend import GameBackend as GameBackend
    from pearl_lightning.derk.backends.game.install import GameUnavailable as GameUnavailable

__all__ = ["GameBackend", "GameUnavailable"]


def __getattr__(name: str) -> Any:
    if name == "GameBackend":
        from pearl_lightning.derk.backends.game.backend import GameBackend

        return GameBackend
    if name == "GameUnavailable":
        from pearl_lightning.derk.backends.game.install import GameUnavailable

        return GameUnavailable
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
