"""Networks of actors and critics, and the distribution of hybrid actions."""
