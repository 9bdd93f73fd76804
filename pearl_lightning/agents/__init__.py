"""Agents, and the losses and optimizers of their updates."""
