"""ParameterTasks: a task family of values that are drawn from ranges and lists in the config."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from pearl_lightning.envs.tasks import TaskDistribution


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """The values that a parameter of a task may have: a range, or a list.

    Args:
        name: Name of the parameter, for errors.
        low: Lower bound of a range.
        high: Upper bound of a range.
        log: Whether values are drawn log-uniformly.
        gap: Bounds of a part of the range that only the test split ``gap`` is drawn from.
        values: All values that are allowed, in place of a range. They may be of any type, and keep it.

    Raises:
        ValueError: The range is empty or not finite, the gap is not inside it, or there are no values.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    gap: Sequence[float] | None = None
    values: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        if self.values is not None:
            if isinstance(self.values, str) or not isinstance(self.values, Sequence):
                raise ValueError(f"choices.{self.name} must be a list of values, got {self.values!r}")
            if not self.values:
                raise ValueError(f"choices.{self.name} must contain at least one value, got none")
            return
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(
                f"ranges.{self.name} must be a lower and a higher bound, both finite, got [{self.low}, {self.high}]"
            )
        if self.log and self.low <= 0:
            raise ValueError(f"ranges.{self.name} must be above 0 with log, got [{self.low}, {self.high}]")
        if self.gap is None:
            return
        is_inside = len(self.gap) == 2 and self.low <= self.gap[0] < self.gap[1] <= self.high
        if not is_inside or (self.gap[0] == self.low and self.gap[1] == self.high):
            raise ValueError(
                f"gaps.{self.name} must be two bounds of a part of [{self.low}, {self.high}], got {list(self.gap)}"
            )

    def draw(self, uniform: float, in_gap: bool = False) -> Any:
        """The value at a share of the allowed values, in [0, 1).

        Args:
            uniform: The share.
            in_gap: Whether the value comes from the gap, if there is one, rather than from the rest of the range.
        """
        if self.values is not None:
            return self.values[int(uniform * len(self.values))]
        to_line, from_line = (math.log, math.exp) if self.log else (float, float)
        parts = [(self.low, self.high)]
        if self.gap is not None:
            parts = [(self.gap[0], self.gap[1])] if in_gap else [(self.low, self.gap[0]), (self.gap[1], self.high)]
        lengths = [to_line(high) - to_line(low) for low, high in parts]
        left = uniform * sum(lengths)
        for (low, _), length in zip(parts, lengths, strict=True):
            if left < length:
                return float(from_line(to_line(low) + left))
            left -= length
        return float(parts[-1][1])

    def numbers(self, value: Any) -> list[float]:
        """The value as privileged information.

        It is a number, or its logarithm if it is drawn log-uniformly. If any of the choices is not a number, such as a
        text or a truth value, it is one-hot.
        """
        if self.values is None or all(map(_is_number, self.values)):
            return [math.log(value) if self.log else float(value)]
        return [float(type(each) is type(value) and each == value) for each in self.values]


class ParameterTasks(TaskDistribution[dict[str, Any]]):
    """Tasks that are values by name, such as masses or goals, for environments that take them.

    Args:
        ranges: Lower and upper bound of each parameter that is drawn from a range, by name.
        choices: All values of each parameter that is drawn from a list, by name: numbers, texts, truth values and
            others. They reach the environment as they are.
        log: Names of the ranges that are drawn from log-uniformly; their bounds must be positive.
        gaps: Bounds of a part of a range, by name, that train and validation tasks leave out.
        train_tasks: Number of train tasks, at least 1.
        validation_tasks: Number of held-out tasks for evaluation during training, at least 0.
        test_tasks: Number of held-out tasks in each test split, at least 0. If a parameter has a gap, there are two:
            ``within``, tasks like those of training, and ``gap``, in which every such parameter has a value in its gap.
        seed: Seed of all splits, at least 0.

    Raises:
        ValueError: There are no parameters, or a number is out of its range.
    """

    hidden = "the parameters of the environment"

    def __init__(
        self,
        *,
        ranges: Mapping[str, Sequence[float]] | None = None,
        choices: Mapping[str, Sequence[str | Any]] | None = None,  # with Any alone, a config's "10" becomes a number
        log: Sequence[str] = (),
        gaps: Mapping[str, Sequence[float]] | None = None,
        train_tasks: int = 100,
        validation_tasks: int = 20,
        test_tasks: int = 20,
        seed: int = 0,
    ) -> None:
        ranges, choices, gaps = ranges or {}, choices or {}, gaps or {}
        if not ranges and not choices:
            raise ValueError("ranges or choices must contain at least one parameter, got none")
        for name, names in (("log", set(log)), ("gaps", set(gaps))):
            if unknown := sorted(names - set(ranges)):
                raise ValueError(f"{name} must name parameters that have a range, got {', '.join(unknown)}")
        if both := sorted(set(ranges) & set(choices)):
            raise ValueError(f"a parameter must be in ranges or in choices, got {', '.join(both)} in both")
        for name, count, least in (
            ("train_tasks", train_tasks, 1),
            ("validation_tasks", validation_tasks, 0),
            ("test_tasks", test_tasks, 0),
            ("seed", seed, 0),
        ):
            if count < least:
                raise ValueError(f"{name} must be at least {least}, got {count}")
        self.parameters = {name: _range(name, bounds, name in log, gaps.get(name)) for name, bounds in ranges.items()}
        self.parameters |= {name: Parameter(name=name, values=values) for name, values in choices.items()}
        self._generator = torch.Generator().manual_seed(seed)
        self.train = self._draw(train_tasks)
        self.validation = self._draw(validation_tasks)
        self._within = self._draw(test_tasks)
        has_gap = any(parameter.gap is not None for parameter in self.parameters.values())
        self._in_gap = self._draw(test_tasks, in_gap=True) if has_gap else ()
        self.test = (*self._within, *self._in_gap)

    def _draw(self, count: int, in_gap: bool = False) -> tuple[dict[str, Any], ...]:
        uniform = torch.rand(count, len(self.parameters), generator=self._generator, dtype=torch.float64).tolist()
        named = self.parameters.items()
        return tuple(
            {name: parameter.draw(share, in_gap) for (name, parameter), share in zip(named, row, strict=True)}
            for row in uniform
        )

    @property
    def splits(self) -> Mapping[str, range]:
        splits = dict(super().splits)
        if self._in_gap:
            middle = self.test_indices[0] + len(self._within)
            splits |= {"within": range(self.test_indices[0], middle), "gap": range(middle, len(self))}
        return splits

    def descriptors(self) -> Tensor:
        return torch.tensor([self.numbers(task) for task in self.train])

    def numbers(self, task: Mapping[str, Any]) -> list[float]:
        """The parameters of a task as privileged information, in the order of ``parameters``."""
        return [number for name, parameter in self.parameters.items() for number in parameter.numbers(task[name])]

    def describe(self, index: int) -> str:
        return ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in self[index].items()
        )

    def record(self, index: int) -> Any:
        return self[index]

    def kind(self, index: int) -> str:
        if not self._in_gap or index not in self.test_indices:
            return ""
        return "gap" if index in self.splits["gap"] else "within"


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _range(name: str, bounds: Sequence[float], log: bool, gap: Sequence[float] | None) -> Parameter:
    if len(bounds) != 2:
        raise ValueError(f"ranges.{name} must be two bounds, got {list(bounds)}")
    return Parameter(name=name, low=bounds[0], high=bounds[1], log=log, gap=gap)
