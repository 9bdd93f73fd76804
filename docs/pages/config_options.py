"""The page of every setting a config can hold, made from signatures and docstrings."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from typing import Any, Literal, get_origin

import docstring_parser
import yaml
from derk_tables import table
from pytorch_lightning import Callback

from pearl_lightning.agents.agent import Agent
from pearl_lightning.agents.clipped_objective import ClippedObjective
from pearl_lightning.agents.optimizers import Optimizers
from pearl_lightning.agents.sac import HybridSAC
from pearl_lightning.agents.temperatures import Temperature
from pearl_lightning.derk.backends.game import GameBackend
from pearl_lightning.derk.backends.simulator import SimulatorBackend
from pearl_lightning.derk.opponents import OPPONENTS, SOURCES
from pearl_lightning.envs.demonstrator import Demonstrator
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.envs.tasks import TaskDistribution
from pearl_lightning.experience.data import EnvDataModule
from pearl_lightning.inference.auxiliary import AuxiliaryLoss
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.conditions import Condition
from pearl_lightning.inference.context import ContextLayout
from pearl_lightning.inference.encoders import ContextEncoder
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble
from pearl_lightning.registry import COMPONENTS, import_components

HEAD = """# Every setting

This page is generated from the library's signatures and docstrings. `pearl fit` takes each setting in a config or on
the command line, there with dots: `--model.sac.discount 0.95`. Later `--config` files override earlier ones.

`class_path` names a class: one of the library by its name alone, a custom one by its module and name. Its settings are
under `init_args`. If an earlier config or the default has named the class, both keys may be left out:
`sac: {discount: 0.95}`. A class without settings may be written as its name: `auxiliary: [TaskInference]`.
"""

TOP_LEVEL = {
    "seed_everything": "Seed of all random numbers of the run; 0 by default.",
    "name": "Name of the run's folder in `runs_dir`; `run` by default. If the folder exists, a number is appended.",
    "runs_dir": "Folder of all runs; `runs` by default.",
    "threads": "Number of threads of torch; 0, the default, leaves torch's own number.",
    "matmul_precision": "Precision of float32 products: `highest`, the default, `high` (TF32 on a GPU) or `medium`.",
    "log_csv": "Whether `metrics.csv` is written; `true` by default.",
    "log_tensorboard": "Whether TensorBoard events are written; `true` by default.",
    "trainer": "Lightning's Trainer (`pearl fit --help` lists its settings). `trainer.callbacks` lists only yours.",
    "collector": "Callback that plays train tasks; `EpisodeCollector` by default.",
    "evaluation": "Callback that plays validation and test tasks; `AdaptationEvaluation` by default, `null` for none.",
    "checkpoint": "Callback that writes checkpoints; `ReplayCheckpoint` by default, `null` for none.",
    "summary": "Callback that summarizes a run at its end; `RunSummary` by default, `null` for none.",
    "model": "Agent; `PEARL` by default.",
    "data": "Data module, which contains the environment; `MetaBatchDataModule` by default.",
    "ckpt_path": "On the command line: checkpoint to resume from, or to validate or test.",
}
"""Keys of a config and their meaning."""

FILLED_IN = {
    "observation_features",
    "action_space",
    "descriptor_features",
    "sizes",
    "context_features",
    "features",
    "outputs",
}
"""Arguments that the library fills in: sizes that follow from the environment and from other settings."""

UNNAMED = (BeliefConfig, ClippedObjective, ContextLayout, Optimizers, SimulatorBackend, GameBackend)
"""Classes whose settings a config contains without naming the class."""

GROUPS: tuple[tuple[str, str, type], ...] = (
    ("Agents", "Under `model`.", Agent),
    ("Encoders", "Under `model.encoder`.", ContextEncoder),
    ("Belief", "Under `model.belief`, without a class.", BeliefConfig),
    ("Context", "Under `model.belief.context`, without a class.", ContextLayout),
    ("Conditions", "Under `model.belief.condition`.", Condition),
    ("Auxiliary losses", "In the list `model.auxiliary`.", AuxiliaryLoss),
    ("Soft actor-critics", "Under `model.sac`.", HybridSAC),
    ("Actors", "Under `model.sac.actor`.", Actor),
    ("Critics", "Under `model.sac.critic`.", CriticEnsemble),
    ("Temperatures", "Under `model.sac.temperature`.", Temperature),
    ("Optimizers", "Under `model.optimizers`, without a class.", Optimizers),
    ("Clipped objective", "Under `model.objective` of `PPO` and `RL2`, without a class.", ClippedObjective),
    ("Data modules", "Under `data`.", EnvDataModule),
    ("Environments", "Under `data.env`.", MetaEnv),
    ("Tasks", "Under `data.env.tasks`.", TaskDistribution),
    (
        "Callbacks",
        "Under `collector`, `evaluation`, `checkpoint` and `summary`; others in `trainer.callbacks`.",
        Callback,
    ),
    ("Demonstrators", "Under `demonstrator` of `EpisodeCollector`.", Demonstrator),
)
"""Heading, key in a config, and base class."""

BACKENDS: tuple[type, ...] = (SimulatorBackend, GameBackend)
"""Classes whose settings ``backend_options`` contains."""


@dataclass(frozen=True)
class Setting:
    """A constructor argument: its name, type and default as text, and its meaning."""

    name: str
    type: str
    default: str
    meaning: str


def classes(base: type) -> list[type]:
    """The library's public subclasses of ``base`` that a config may name, sorted by name."""

    def descend(parent: type) -> Iterator[type]:
        yield parent
        for child in parent.__subclasses__():
            yield from descend(child)

    import_components()
    found = {cls for cls in descend(base) if not inspect.isabstract(cls) and (cls in UNNAMED or _is_component(cls))}
    return sorted(found, key=lambda cls: cls.__name__)


def settings(cls: type) -> list[Setting]:
    """The constructor's arguments, with their meanings from the docstrings of the class and its bases."""
    meanings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for argument in docstring_parser.parse(base.__dict__.get("__doc__") or "").params:
            meanings[argument.arg_name] = " ".join((argument.description or "").split())
    defaults = _default_sources(cls)
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return [
        Setting(
            name=parameter.name,
            type=_type(str(parameter.annotation), cls),
            default=_default(parameter, defaults),
            meaning=meanings.get(parameter.name, ""),
        )
        for parameter in parameters
    ]


def page() -> str:
    """The page's Markdown."""
    parts = [HEAD, "## Top level\n", table(("key", "meaning"), [(f"`{k}`", v) for k, v in TOP_LEVEL.items()])]
    for heading, place, base in GROUPS:
        parts += [f"## {heading}\n\n{place}\n", *map(_section, classes(base))]
    parts += [
        "## Backends of Derk's Gym\n\nUnder `backend_options` of `DerkEnv`, which sets `arenas` itself.\n",
        *map(_section, BACKENDS),
    ]
    return "\n".join([*parts, _opponents()])


def _section(cls: type) -> str:
    path = f"{cls.__module__}.{cls.__qualname__}"
    named = "" if cls in UNNAMED else f"`class_path: {cls.__name__}` "
    summary = docstring_parser.parse(cls.__doc__ or "").short_description or ""
    rows = [(f"`{s.name}`", f"`{s.type}`", s.default, s.meaning) for s in settings(cls)]
    text = f"### {cls.__name__}\n\n{summary}\n\n{named}([more][{path}])\n\n"
    return text + (table(("name", "type", "default", "meaning"), rows) if rows else "It has no settings.\n")


def _opponents() -> str:
    text = "## Opponents\n\nA task, or a family of tasks, names the opponent:\n\n"
    rows = [
        (f"`{name}`", docstring_parser.parse(cls.__doc__ or "").short_description) for name, cls in OPPONENTS.items()
    ]
    rows += [(f"`{name}:...`", _summary(path)) for name, path in SOURCES.items()]
    rows.append(("`module.Class`", "A custom opponent ([guide](../guides/custom_opponent.md))."))
    return text + table(("name", "what it does"), rows)


def _summary(path: str) -> str:
    return docstring_parser.parse(pkgutil.resolve_name(path).__doc__ or "").short_description or ""


def _is_component(cls: type) -> bool:
    """Whether a config can name the class without its module, and the class has settings."""
    is_exported = any(getattr(import_module(name), cls.__name__, None) is cls for name in COMPONENTS)
    return is_exported and cls.__init__ is not object.__init__


def _type(annotation: str, cls: type) -> str:
    """An annotation in which the names of literal types are replaced by their values."""

    def spell_out(match: re.Match[str]) -> str:
        value = getattr(sys.modules[cls.__module__], match[0], None)
        return str(value).removeprefix("typing.") if get_origin(value) is Literal else match[0]

    return re.sub(r"\b[A-Z]\w+\b", spell_out, annotation)


def _default_sources(cls: type) -> dict[str, str]:
    """Default values as written in the source of the constructor."""
    if is_dataclass(cls):
        return {}
    function = ast.parse(textwrap.dedent(inspect.getsource(cls.__init__))).body[0]
    assert isinstance(function, ast.FunctionDef)
    positional, keyword = function.args.args, function.args.kwonlyargs
    pairs = list(zip(positional[::-1], function.args.defaults[::-1], strict=False))
    pairs += [
        (name, value) for name, value in zip(keyword, function.args.kw_defaults, strict=True) if value is not None
    ]
    return {name.arg: ast.unparse(value) for name, value in pairs}


def _default(parameter: inspect.Parameter, sources: dict[str, str]) -> str:
    if parameter.name in FILLED_IN:
        return "filled in"
    value: Any = parameter.default
    if value is inspect.Parameter.empty:
        return "required"
    if value is None or isinstance(value, (bool, int, float, str)):
        return f"`{_as_yaml(value)}`"
    if isinstance(value, tuple) and all(isinstance(each, (int, float, str)) for each in value):
        return f"`{_as_yaml(list(value))}`"
    return f"`{sources.get(parameter.name, repr(value))}`"


def _as_yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()
