"""Meta-reinforcement learning with PEARL, as PyTorch Lightning components."""

import os

__version__ = "0.1.0"

os.environ.setdefault("RL_LOGGING_LEVEL", "WARNING")  # or TorchRL announces every storage it makes
