"""Environments that host tasks. They contain no learning code."""
