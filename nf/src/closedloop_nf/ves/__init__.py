"""VES 7.2.1 events out of the functions (docs/ves-events.md)."""
