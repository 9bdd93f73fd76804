"""Derk's Gym: two teams of three Derklings fight over two statues."""
