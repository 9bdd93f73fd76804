"""Parser of the commands that do not train. It imports neither torch nor Lightning, so ``--help`` is fast.

Commands import slow modules in the functions that need them, after the options have been parsed.
"""

from __future__ import annotations

import logging
import warnings
from typing import NoReturn

from jsonargparse import ArgumentParser

from pearl_lightning.cli import readable


class PearlParser(ArgumentParser):
    """A parser that raises errors as one line, without the usage text."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise ValueError(readable(message)) from ex


def quiet() -> None:
    """Hide notices that do not help users."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        r".*does not have many workers.*",
        r".*number of training batches.*smaller than the logging interval.*",
        r"Grad strides do not match bucket view strides.*",
        r".*isinstance\(treespec, LeafSpec\).*",
    ):
        warnings.filterwarnings("ignore", message)
