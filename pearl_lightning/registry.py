"""Registry of commands, components and scripted players by name. Modules are imported when they are used.

No module outside ``pearl_lightning.derk`` may import it, so the registry contains its modules as strings.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Command:
    """A command of ``pearl``.

    Args:
        entry: Function that runs the command with the arguments after its name, as ``module:function``.
        purpose: Line of the help text, with an example.
    """

    entry: str
    purpose: str

    def run(self, arguments: list[str]) -> int | None:
        """Run the command; return its exit status, None for success."""
        status: int | None = pkgutil.resolve_name(self.entry)(arguments)
        return status


COMMANDS = {
    "fit": Command("pearl_lightning.commands.training:fit", "meta-train: pearl fit --config point_robot"),
    "validate": Command(
        "pearl_lightning.commands.training:validate", "play the validation tasks of a config with a checkpoint"
    ),
    "test": Command(
        "pearl_lightning.commands.training:test", "play the test tasks of a config with a checkpoint, for final results"
    ),
    "evaluate": Command(
        "pearl_lightning.commands.evaluate:run",
        "write adaptation table, JSON and plots: pearl evaluate runs/NAME/checkpoints/last.ckpt",
    ),
    "watch": Command(
        "pearl_lightning.commands.watch:run",
        "write an adaptation as a page or video: pearl watch runs/NAME/checkpoints/last.ckpt --out match.html",
    ),
    "league": Command(
        "pearl_lightning.derk.commands.league:run",
        "print cross table and Elo of players: pearl league runs/NAME/snapshots/*.ckpt attacker gang",
    ),
    "report": Command(
        "pearl_lightning.commands.report:run",
        "write a report of one or several runs as an HTML page: pearl report runs/NAME",
    ),
    "serve": Command(
        "pearl_lightning.derk.commands.serve:run",
        "start an agent server for gym-derk sessions: pearl serve runs/NAME/checkpoints/last.ckpt",
    ),
    "export": Command(
        "pearl_lightning.commands.export:run",
        "write policy and encoder as .pt2 and ONNX: pearl export runs/NAME/checkpoints/last.ckpt",
    ),
    "push": Command(
        "pearl_lightning.commands.push:run",
        "upload an agent and its results to the Hugging Face Hub: pearl push runs/NAME OWNER/NAME",
    ),
    "tasks": Command("pearl_lightning.commands.tasks:run", "list the tasks of a config by split: pearl tasks derk"),
    "configs": Command("pearl_lightning.commands.configs:run", "list the ready-made configs and how to combine them"),
    "init": Command(
        "pearl_lightning.commands.configs:run_init", "copy a ready-made config here for editing: pearl init derk"
    ),
    "doctor": Command(
        "pearl_lightning.derk.commands.doctor:main", "check whether the real game can be played on this machine"
    ),
    "completion": Command(
        "pearl_lightning.commands.completion:run",
        "print a script that completes commands, options and names of configs: pearl completion bash",
    ),
}
"""Commands of ``pearl``, in the order of its help."""

COMPONENTS = (
    "pearl_lightning.callbacks",
    "pearl_lightning.agents.evolution_strategy",
    "pearl_lightning.agents.pearl",
    "pearl_lightning.agents.ppo",
    "pearl_lightning.agents.rl2",
    "pearl_lightning.agents.sac",
    "pearl_lightning.agents.temperatures",
    "pearl_lightning.experience.data",
    "pearl_lightning.experience.rollouts",
    "pearl_lightning.inference.auxiliary",
    "pearl_lightning.inference.conditions",
    "pearl_lightning.inference.encoders",
    "pearl_lightning.networks.actors",
    "pearl_lightning.networks.critics",
    "pearl_lightning.envs.gymnasium",
    "pearl_lightning.envs.metaworld",
    "pearl_lightning.envs.mujoco.ant",
    "pearl_lightning.envs.mujoco.cheetah",
    "pearl_lightning.envs.mujoco.dynamics",
    "pearl_lightning.envs.mujoco.humanoid",
    "pearl_lightning.envs.mujoco.tasks",
    "pearl_lightning.envs.parameters",
    "pearl_lightning.envs.point_robot",
    "pearl_lightning.envs.ray.env",
    "pearl_lightning.derk.callbacks",
    "pearl_lightning.derk.env",
    "pearl_lightning.derk.opponents",
    "pearl_lightning.derk.tasks",
)
"""Modules with classes that a config can name without the module."""

SCRIPTS = ("pearl_lightning.derk.scripted",)
"""Modules with scripted players, which define ``NAMES`` and ``make_agent(name, env)``."""


VIEWERS = {"pearl_lightning.derk.env": "pearl_lightning.derk.watching.viewer"}
"""Modules that write what ``pearl watch`` shows, by the module of the environment's class. They define
``suffixes(env)`` and ``write(env, agent, task, settings, out, name)``."""
FILMING = "pearl_lightning.commands.filming"
"""The same for all other environments: films of their pictures."""


def import_components() -> None:
    """Import every module in ``COMPONENTS``."""
    for module in COMPONENTS:
        import_module(module)


def scripts(name: str) -> Any:
    """Return the module in ``SCRIPTS`` with a scripted player of this name; None if there is none."""
    return next((module for module in map(import_module, SCRIPTS) if name in module.NAMES), None)


def viewer(env: Any) -> Any:
    """Return the module in ``VIEWERS`` for an environment, or ``FILMING``."""
    return import_module(VIEWERS.get(type(env).__module__, FILMING))
