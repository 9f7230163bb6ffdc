"""The whole loop in the simulated world: functions report, the collector decides, a playbook acts on the functions."""
