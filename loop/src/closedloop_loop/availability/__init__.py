"""MTBF, MTTR, redundancy and availability: what is left out is solved for. docs/availability.md explains the model."""
