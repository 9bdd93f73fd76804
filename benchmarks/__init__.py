"""Measurements whose results are in docs/results, and tools that make pages and pictures."""

import pearl_lightning  # noqa: F401  (before torch, because it sets how threads wait for each other)
