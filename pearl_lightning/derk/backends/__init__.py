"""What plays the matches: our simulator, or the real game."""
