"""Commands that only Derk's Gym needs."""
