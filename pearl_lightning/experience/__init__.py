"""Experience: the acting loop, episodes, the replay and the data modules."""
