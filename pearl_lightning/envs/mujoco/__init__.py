"""The MuJoCo task families of the PEARL paper, batched over arenas."""
