"""The operations journal: what the loops have done, are doing and must not do twice."""
