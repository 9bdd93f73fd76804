"""Comparison of the settings of several runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PLACES = ("name", "runs_dir", "trainer.default_root_dir", "trainer.logger")
"""Settings, including all settings below them, that only define the output paths of a run."""


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a config to single settings by dotted name, without ``init_args``.

    Items of a list are named by their class: ``trainer.callbacks.EpisodeCollector.every_n_updates`` is the same setting
    at any position of the collector in the list. A list of other values is one setting.
    """
    return dict(_flat("", config))


def differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Settings that differ between the configs, with the value in each config.

    A setting that a config does not have counts as None. The settings in ``PLACES`` are excluded.
    """
    all_flat = [flat(config) for config in configs]
    names = list(dict.fromkeys(name for each in all_flat for name in each))
    values = {name: [each.get(name) for each in all_flat] for name in names if not _is_place(name)}
    return {name: each for name, each in values.items() if any(value != each[0] for value in each[1:])}


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from _flat(prefix if name == "init_args" else f"{prefix}.{name}".lstrip("."), part)
    elif (
        isinstance(value, list) and value and all(isinstance(part, Mapping) and "class_path" in part for part in value)
    ):
        names = [str(part["class_path"]).rpartition(".")[2] for part in value]
        for index, (name, part) in enumerate(zip(names, value, strict=True)):
            earlier = names[:index].count(name)
            yield from _flat(f"{prefix}.{name}" + (f" {earlier + 1}" if earlier else ""), part)
    else:
        yield prefix, value


def _is_place(name: str) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in PLACES)
