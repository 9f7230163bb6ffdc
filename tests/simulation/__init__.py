"""Deterministic simulation of the cores: one seed is one history of faults, replayed exactly by `python -m tests.simulation --seed N`."""
