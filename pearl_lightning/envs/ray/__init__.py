"""Environments that are spread over the machines of a Ray cluster."""
