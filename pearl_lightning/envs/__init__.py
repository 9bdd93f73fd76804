"""Environments that host tasks. They know nothing of learning."""
