"""Auxiliary losses, one file each. They train the encoder to infer more than the critics need."""

from pearl_lightning.inference.auxiliary.auxiliary import (
    LOSSES_OF_PEARL,
    AuxiliaryLoss,
    AuxiliarySizes,
    named_losses,
)
from pearl_lightning.inference.auxiliary.reconstruction import Reconstruction
from pearl_lightning.inference.auxiliary.task_inference import TaskInference

__all__ = [
    "LOSSES_OF_PEARL",
    "AuxiliaryLoss",
    "AuxiliarySizes",
    "Reconstruction",
    "TaskInference",
    "named_losses",
]
