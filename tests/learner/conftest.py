from __future__ import annotations

import pytest
import torch
from sac_reference import constant_noise
from torch.distributions import normal


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def fixed_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Gaussian draw, ours and torch.distributions', is ``constant_noise``."""
    monkeypatch.setattr(torch, "randn", constant_noise)
    monkeypatch.setattr(normal, "_standard_normal", lambda shape, dtype, device: constant_noise(shape))
