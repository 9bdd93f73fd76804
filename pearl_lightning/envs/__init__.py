"""Environments whose arenas can be given tasks; they know nothing of learning."""
