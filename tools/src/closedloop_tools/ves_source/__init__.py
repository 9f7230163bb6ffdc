"""Measures the event source closedloop.mobility.ves: `python -m closedloop_tools.ves_source`."""
