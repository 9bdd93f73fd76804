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

import pearl_lightning
from pearl_lightning.agent import Agent
from pearl_lightning.data import WorldDataModule
from pearl_lightning.envs.derk.game import GameBackend
from pearl_lightning.envs.derk.opponents import OPPONENTS, SOURCES
from pearl_lightning.envs.derk.simulator import SimulatorBackend
from pearl_lightning.envs.meta_env import Demonstrator, MetaEnv, TaskDistribution
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble
from pearl_lightning.networks.encoders import ContextEncoder
from pearl_lightning.networks.reconstruction import Reconstruction
from pearl_lightning.objectives import SacConfig, TaskInference

HEAD = """# Every setting

Made from the library's signatures and docstrings when the site is built. `pearl fit` takes each setting in a config or
on the command line, there with dots: `--model.sac.discount 0.95`. A class is named by `class_path` and takes its
settings under `init_args`; on the command line `init_args` may be left out. Later `--config` files override earlier
ones.
"""

TOP_LEVEL = {
    "seed_everything": "Seed of every random number of the run; 0 when left out.",
    "name": "The run's folder below `runs_dir`; `run` when left out. A folder that is taken gets a number.",
    "runs_dir": "Where runs are kept; `runs` when left out.",
    "threads": "Threads of torch; 0, the default, leaves torch's own number.",
    "trainer": "Lightning's Trainer, with all its settings (`pearl fit --help`); `trainer.callbacks` lists callbacks.",
    "model": "What learns: an agent by class.",
    "data": "What it learns from: a data module by class, with the environment in it.",
    "ckpt_path": "On the command line: a checkpoint to resume from, or to validate or test.",
}
"""Keys of a config, and what they hold."""

FILLED_IN = {
    "observation_features",
    "action_space",
    "descriptor_features",
    "latent_features",
    "context_features",
    "features",
    "outputs",
    "inputs",
}
"""Arguments that the library gives: sizes that follow from the world and from the other settings."""

UNNAMED = (SacConfig, TaskInference, SimulatorBackend, GameBackend)
"""Classes that a config gives settings without naming them."""

GROUPS: tuple[tuple[str, str, type], ...] = (
    ("Agents", "Under `model`.", Agent),
    ("Encoders", "Under `model.init_args.encoder`.", ContextEncoder),
    ("Actors", "Under `model.init_args.actor`.", Actor),
    ("Critics", "Under `model.init_args.critic`.", CriticEnsemble),
    ("Constants of the objective", "Under `model.init_args.sac`, without a class.", SacConfig),
    ("What the belief is taught", "Under `model.init_args.task_inference`, without a class.", TaskInference),
    ("Reconstruction", "Under `model.init_args.reconstruction`.", Reconstruction),
    ("Data modules", "Under `data`.", WorldDataModule),
    ("Environments", "Under `data.init_args.env`.", MetaEnv),
    ("Tasks", "Under `data.init_args.env.init_args.tasks`.", TaskDistribution),
    ("Callbacks", "In the list `trainer.callbacks`.", Callback),
    ("Demonstrators", "Under `demonstrator` of `EpisodeCollector`.", Demonstrator),
)
"""Heading, place in a config, and what the classes derive from."""

BACKENDS: tuple[type, ...] = (SimulatorBackend, GameBackend)
"""Whose settings ``backend_options`` takes."""

_NOT_IMPORTED = ("__main__", ".simulator.", ".game.")


@dataclass(frozen=True)
class Setting:
    """A constructor argument: its name, type and default as text, and its meaning."""

    name: str
    type: str
    default: str
    meaning: str


def import_everything() -> None:
    """Import the library's modules, so that every class is known to those it derives from."""
    for module in pkgutil.walk_packages(pearl_lightning.__path__, "pearl_lightning."):
        if not any(part in module.name for part in _NOT_IMPORTED):
            import_module(module.name)


def classes(base: type) -> list[type]:
    """The library's public classes that a config may name where ``base`` is asked for, by name."""

    def descend(parent: type) -> Iterator[type]:
        yield parent
        for child in parent.__subclasses__():
            yield from descend(child)

    import_everything()
    found = {cls for cls in descend(base) if cls.__module__.startswith("pearl_lightning.") and _is_complete(cls)}
    return sorted(found, key=lambda cls: cls.__name__)


def settings(cls: type) -> list[Setting]:
    """The constructor's arguments, with what the docstrings of the class and its bases say of them."""
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


def class_path(cls: type) -> str:
    """The shortest path by which a config may name a class: that of the package that exports it, if one does."""
    packages = cls.__module__.split(".")
    for depth in range(1, len(packages)):
        package = ".".join(packages[:depth])
        if cls.__name__ in getattr(import_module(package), "__all__", ()):
            return f"{package}.{cls.__name__}"
    return f"{cls.__module__}.{cls.__qualname__}"


def page() -> str:
    """The page's Markdown."""
    parts = [HEAD, "## Top level\n", table(("key", "holds"), [(f"`{k}`", v) for k, v in TOP_LEVEL.items()])]
    for heading, place, base in GROUPS:
        parts += [f"## {heading}\n\n{place}\n", *map(_section, classes(base))]
    parts += [
        "## Backends of Derk's Gym\n\nUnder `backend_options` of the environment, which gives the arenas itself.\n",
        *map(_section, BACKENDS),
    ]
    return "\n".join([*parts, _opponents()])


def _section(cls: type) -> str:
    path = f"{cls.__module__}.{cls.__qualname__}"
    named = "" if cls in UNNAMED else f"`class_path: {class_path(cls)}` "
    summary = docstring_parser.parse(cls.__doc__ or "").short_description or ""
    rows = [(f"`{s.name}`", f"`{s.type}`", s.default, s.meaning) for s in settings(cls)]
    text = f"### {cls.__name__}\n\n{summary}\n\n{named}([more][{path}])\n\n"
    return text + (table(("name", "type", "default", "meaning"), rows) if rows else "It has no settings.\n")


def _opponents() -> str:
    text = "## Opponents\n\nA task, or a family of tasks, names who plays the other team:\n\n"
    rows = [
        (f"`{name}`", docstring_parser.parse(cls.__doc__ or "").short_description) for name, cls in OPPONENTS.items()
    ]
    rows += [(f"`{name}:...`", _summary(path)) for name, path in SOURCES.items()]
    rows.append(("`module.Class`", "An opponent of your own ([guide](../guides/own_opponent.md))."))
    return text + table(("name", "what it does"), rows)


def _summary(path: str) -> str:
    return docstring_parser.parse(pkgutil.resolve_name(path).__doc__ or "").short_description or ""


def _is_complete(cls: type) -> bool:
    """Whether a config can make it; what the commands make by themselves lies in their own modules."""
    if cls.__module__.startswith("pearl_lightning.commands."):
        return False
    return not inspect.isabstract(cls) and not cls.__name__.startswith("_") and cls.__init__ is not object.__init__


def _type(annotation: str, cls: type) -> str:
    """An annotation with the values that its own names stand for."""

    def spell_out(match: re.Match[str]) -> str:
        value = getattr(sys.modules[cls.__module__], match[0], None)
        return str(value).removeprefix("typing.") if get_origin(value) is Literal else match[0]

    return re.sub(r"\b[A-Z]\w+\b", spell_out, annotation)


def _default_sources(cls: type) -> dict[str, str]:
    """Defaults as they stand in the source of the constructor."""
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
