"""The agent that comes with the package, trained on Derk's Gym."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pearl_lightning.agents.agent import Agent

SHIPPED = Path(__file__).parent / "derk.ckpt"
"""The checkpoint of the agent. The ``.yaml`` file next to it contains its environment."""


def shipped_agent() -> Agent:
    """The agent, on the CPU and not training."""
    from pearl_lightning.agents.agent import load_agent  # imports torch

    return load_agent(SHIPPED)
