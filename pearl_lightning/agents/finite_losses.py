"""A check for losses that are not finite, which does not wait for a GPU."""

from __future__ import annotations

import torch
from torch import Tensor


class FiniteLosses:
    """Finds the first update with a loss that is not finite.

    Args:
        is_deferred: Whether the error comes when ``require`` is called, because ``note`` must not wait for a GPU. The
            losses of the first such update are kept on the GPU until then. All parameters may be useless by then.
            Otherwise, the error comes before the update.
    """

    def __init__(self, is_deferred: bool = False) -> None:
        self.is_deferred = is_deferred
        self._names: tuple[str, ...] = ()
        self._kept: Tensor | None = None  # update, whether it failed, and its losses and diagnostics

    def note(self, total: Tensor, terms: dict[str, Tensor], update: int) -> None:
        """Check an update, or take note of it for ``require``.

        Args:
            total: Loss to minimize.
            terms: Terms of the loss by name, for the error message.
            update: Number of the update, for the error message; only that of the first call counts if deferred.

        Raises:
            FloatingPointError: The loss is not finite, and the error is not deferred.
        """
        if not self.is_deferred:
            require_finite(total, terms, update)
            return
        values = torch.stack([term.detach().double() for term in terms.values()])
        if self._kept is None:
            self._names = tuple(terms)
            self._kept = torch.zeros(2 + len(values), dtype=torch.float64, device=total.device)
            self._kept[0] = update - 1
        has_failed = self._kept[1] > 0
        now = torch.cat([self._kept[:1] + 1, (~torch.isfinite(total.detach())).double().view(1), values])
        self._kept.copy_(torch.where(has_failed, self._kept, now))

    def require(self) -> None:
        """Raise an error if an update so far had a loss that is not finite; this waits for the GPU.

        Raises:
            FloatingPointError: There is such an update.
        """
        if self._kept is None:
            return
        update, failed, *values = self._kept.tolist()
        if failed:
            raise FloatingPointError(_message(int(update), dict(zip(self._names, values, strict=True))))


def require_finite(total: Tensor, terms: dict[str, Tensor], update: int) -> None:
    """Raise an error before an update with a loss that is not finite.

    Args:
        total: Loss to minimize.
        terms: Terms of the loss by name, for the error message.
        update: Number of the update, for the error message.

    Raises:
        FloatingPointError: The loss is not finite.
    """
    if not torch.isfinite(total):
        raise FloatingPointError(_message(update, {name: float(term.detach()) for name, term in terms.items()}))


def _message(update: int, values: dict[str, float]) -> str:
    shown = ", ".join(f"{name}={value:.4g}" for name, value in values.items())
    return f"the losses of update {update} are not finite: {shown}"
