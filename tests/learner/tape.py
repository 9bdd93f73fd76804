"""An imitation of CUDA graphs on the CPU: it records operations with the memory that they use, and repeats them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only


class Tape(TorchDispatchMode):
    """Records every operation, also those of the backward pass and of optimizers.

    As with a CUDA graph, Python code does not run again, numbers of Python stay as they were, and each result goes to
    the memory that it had when it was recorded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Sequence[Any], dict[str, Any], Any]] = []
        self._created: set[int] = set()
        self._before: list[tuple[Tensor, Tensor]] = []  # memory that is older than the tape, and what it contained

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: Sequence[Any] = (), named: dict[str, Any] | None = None
    ) -> Any:
        # detached: some operations change the shape of a tensor in place
        arguments, named = tree_map_only(Tensor, Tensor.detach, (arguments, named or {}))
        for written in _written(operation, arguments, named):
            if _memory(written) not in self._created:
                self._before.append((written, written.clone()))
        result = operation(*arguments, **named)
        self._created |= {_memory(each) for each in tensors(result)} - {
            _memory(each) for each in tensors((arguments, named))
        }
        self.operations.append((operation, arguments, named, tree_map_only(Tensor, Tensor.detach, result)))
        return result

    def undo(self) -> None:
        """Give older memory the content that it had: recording does not execute anything."""
        for tensor, content in reversed(self._before):
            tensor.detach().copy_(content)

    def replay(self) -> None:
        # below autograd and autocast, whose operations were recorded
        with torch.no_grad(), torch._C._AutoDispatchBelowAutograd(), torch.autocast("cpu", enabled=False):
            for operation, arguments, named, result in self.operations:
                again = operation(*arguments, **named)
                for old, new in zip(tensors(result), tensors(again), strict=True):
                    if _memory(old) != _memory(new):
                        old.copy_(new)


def record(run: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    """In place of ``record_graph``."""
    state = generator.get_state()
    with Tape() as tape:
        run()
    with torch.no_grad():
        tape.undo()
    generator.set_state(state)
    return tape.replay


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def tensors(result: Any) -> list[Tensor]:
    return [each for each in tree_leaves(result) if isinstance(each, Tensor)]


def _written(operation: Any, arguments: Sequence[Any], named: dict[str, Any]) -> Iterator[Tensor]:
    """Tensors that the operation changes in place."""
    for number, argument in enumerate(operation._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield from tensors(arguments[number] if number < len(arguments) else named.get(argument.name))
