"""Parser of ``pearl fit``, and the settings that a config can contain."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import Namespace
from pytorch_lightning import Callback
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from pearl_lightning.agents.agent import Agent
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.callbacks import AdaptationEvaluation, EpisodeCollector, ReplayCheckpoint, RunSummary
from pearl_lightning.callbacks.collector import Collector
from pearl_lightning.commands.config_files import check_order
from pearl_lightning.commands.parser import PearlParser
from pearl_lightning.experience.data import EnvDataModule, MetaBatchDataModule
from pearl_lightning.registry import import_components

CALLBACKS: dict[str, type[Callback]] = {
    "evaluation": AdaptationEvaluation,
    "collector": Collector,
    "checkpoint": ReplayCheckpoint,
    "summary": RunSummary,
}
"""Base classes of the callbacks that every run has unless a config sets their key to null, by key and in order."""
DEFAULTS: dict[str, type] = CALLBACKS | {"collector": EpisodeCollector, "model": PEARL, "data": MetaBatchDataModule}
"""Default class of each key of a config."""


class FitParser(PearlParser, LightningArgumentParser):
    """Lightning's parser, with errors on one line."""

    def dump(self, *args: Any, **kwargs: Any) -> str:
        """Return settings as text. They are not checked again, which would take as long as parsing them."""
        return super().dump(*args, **{"skip_validation": True} | kwargs)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write settings to a file, without another check, as ``dump`` does."""
        super().save(*args, **{"skip_validation": True} | kwargs)

    def parse_path(self, path: Any, *args: Any, **kwargs: Any) -> Namespace:
        try:
            return super().parse_path(path, *args, **kwargs)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text: {error}") from error
        except (TypeError, ValueError) as error:
            if "Unexpected config" in str(error):
                raise ValueError(f"{path} must contain a YAML mapping of settings, got something else") from error
            if "Problems parsing config" in str(error):
                raise ValueError(f"{path} is not valid YAML: {str(error).partition(': ')[2]}") from error
            raise


class ConfiguredCLI(LightningCLI):
    """Lightning's command line for an agent and its data, with a group of settings for each of ``CALLBACKS``."""

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning's is static
        """Return the given command only, because creating the options of another one takes as long as parsing."""
        data = {"model", "dataloaders", "train_dataloaders", "val_dataloaders", "datamodule"}
        return {command: data | {"weights_only"} for command in self.parser_kwargs}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        import_components()  # so that a config can name classes without their modules
        parser.add_argument("--name", type=str, default="run", help="Name of the run's folder in runs_dir.")
        parser.add_argument("--runs_dir", type=str, default="runs", help="Folder of all runs.")
        parser.add_argument("--threads", type=int, default=0, help="Number of threads of torch; 0 for its default.")
        parser.add_argument(
            "--matmul_precision",
            type=Literal["highest", "high", "medium"],
            default="highest",
            help="Precision of float32 products, as in torch.set_float32_matmul_precision: high is TF32.",
        )
        parser.add_argument("--log_csv", type=bool, default=True, help="Whether to write metrics.csv.")
        parser.add_argument("--log_tensorboard", type=bool, default=True, help="Whether to write TensorBoard events.")
        for key, kind in CALLBACKS.items():
            parser.add_lightning_class_args(kind, key, subclass_mode=True, required=False)
        parser.set_defaults(
            {key: {"class_path": f"{kind.__module__}.{kind.__name__}"} for key, kind in DEFAULTS.items()}
        )
        parser.link_arguments("data", "model.init_args.observation_features", _features, apply_on="instantiate")
        parser.link_arguments("data", "model.init_args.action_space", _action_space, apply_on="instantiate")
        parser.link_arguments("data", "model.init_args.descriptor_features", _descriptor, apply_on="instantiate")


CLI_SETTINGS: dict[str, Any] = {
    "model_class": Agent,
    "datamodule_class": EnvDataModule,
    "subclass_mode_model": True,
    "subclass_mode_data": True,
    "parser_class": FitParser,
    "seed_everything_default": 0,
    "auto_configure_optimizers": False,
}
"""Settings of Lightning's command line for all commands that read configs."""


class ConfigReader(ConfiguredCLI):
    """Parses configs as ``pearl fit`` does, without creating anything."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        pass

    def _set_seed(self) -> None:
        pass

    def instantiate_classes(self) -> None:
        pass

    def _run_subcommand(self, subcommand: str) -> None:
        pass


def read_configs(files: Sequence[Path], overlay: Sequence[Path] = ()) -> Namespace:
    """Return all settings of configs, including defaults. Later configs override earlier ones.

    Args:
        files: Config files, as for ``pearl fit``.
        overlay: Configs of which only the environment is used, because they may be meant for another agent.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A config is not valid, or they contain no environment.
    """
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"there is no config file {file}: give one that contains data.env")
    check_order(files)
    texts = [tuple((file, file.read_bytes()) for file in group) for group in (files, overlay)]
    return _read(*texts).clone()


@lru_cache(maxsize=8)  # a command asks for the environment, and for how the run was evaluated
def _read(files: tuple[tuple[Path, bytes], ...], overlay: tuple[tuple[Path, bytes], ...]) -> Namespace:
    """Settings of config files, each with its content, which decides whether they have been read before."""
    with tempfile.TemporaryDirectory() as folder:
        parts = [_environment_of(file, Path(folder) / f"{number}.yaml") for number, (file, _) in enumerate(overlay)]
        options = [f"--config={file}" for file in (*(file for file, _ in files), *parts)]
        config = ConfigReader(**CLI_SETTINGS, parser_kwargs={"fit": {}}, args=["fit", *options]).config
    return config.fit


def _environment_of(file: Path, part: Path) -> Path:
    """Write the environment of a config to the file ``part``; return its path."""
    data = yaml.safe_load(file.read_text(encoding="utf-8")).get("data", {})
    env = data.get("init_args", data).get("env", {})
    part.write_text(yaml.safe_dump({"data": {"env": env}}), encoding="utf-8")
    return part


def _features(data: EnvDataModule) -> int:
    return data.env.features


def _descriptor(data: EnvDataModule) -> int:
    descriptors = data.env.tasks.descriptors()
    return 0 if descriptors is None else descriptors.shape[1]


def _action_space(data: EnvDataModule) -> dict[str, Any]:
    return data.env.action_space.state()
