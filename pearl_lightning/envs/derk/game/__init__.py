"""The real game as a backend: gym-derk 1.1.1 in a headless browser, in a process of its own.

``GameBackend`` is imported when it is first asked for: the game's process shares this package and does without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pearl_lightning.envs.derk.game.backend import GameBackend as GameBackend
    from pearl_lightning.envs.derk.game.install import GameUnavailable as GameUnavailable

__all__ = ["GameBackend", "GameUnavailable"]


def __getattr__(name: str) -> Any:
    if name == "GameBackend":
        from pearl_lightning.envs.derk.game.backend import GameBackend

        return GameBackend
    if name == "GameUnavailable":
        from pearl_lightning.envs.derk.game.install import GameUnavailable

        return GameUnavailable
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
