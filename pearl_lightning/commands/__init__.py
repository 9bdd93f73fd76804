"""The commands of ``pearl``, one file each, and their shared code: players and environments."""
