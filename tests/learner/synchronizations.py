"""Finds operations after which a program would wait for a GPU, on the CPU."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import pearl_lightning

PACKAGE = str(Path(pearl_lightning.__file__).parent)
WAITING = {
    torch.ops.aten._local_scalar_dense.default,  # item, tolist, bool, int, float
    torch.ops.aten.equal.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten._unique2.default,
    torch.ops.aten.repeat_interleave.Tensor,
}
"""Operations whose result, or whose shape, the program must know before it goes on."""


class Synchronizations(TorchDispatchMode):
    """Collects the places in the package from which such an operation is called."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []
        self._patched: list[pytest.MonkeyPatch] = []

    def __enter__(self) -> Self:
        for name in ("tolist", "numpy"):  # they read the memory without an operation
            read, patched = getattr(torch.Tensor, name), pytest.MonkeyPatch()
            patched.setattr(torch.Tensor, name, lambda tensor, read=read, name=name: self._read(tensor, read, name))
            self._patched.append(patched)
        super().__enter__()
        return self

    def _read(self, tensor: torch.Tensor, read: Any, name: str) -> Any:
        self.places.append(f"{name} in {_place()}")
        return read(tensor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        for patched in self._patched:
            patched.undo()

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: Sequence[Any] = (), named: dict[str, Any] | None = None
    ) -> Any:
        if operation in WAITING or _selects_by_mask(operation, arguments):
            self.places.append(f"{operation} in {_place()}")
        return operation(*arguments, **(named or {}))


def _place() -> str:
    """Line of the package that is being run."""
    own = [frame for frame in traceback.extract_stack() if frame.filename.startswith(PACKAGE)]
    return f"{Path(own[-1].filename).name}: {own[-1].line}" if own else "outside the package"


def _selects_by_mask(operation: Any, arguments: Sequence[Any]) -> bool:
    """Whether tensors are indexed by truth values, which gives a shape that depends on them."""
    if operation not in (torch.ops.aten.index.Tensor, torch.ops.aten.index_put.default):
        return False
    return any(index is not None and index.dtype == torch.bool for index in arguments[1])
