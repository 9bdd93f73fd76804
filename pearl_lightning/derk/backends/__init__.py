"""Backends that play matches: the simulator and the real game."""
