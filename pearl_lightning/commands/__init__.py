"""The commands of ``pearl``: one file each, and what they share: who plays, in which world."""
