"""Sub-commands of `closedloop`: each module has `SUMMARY`, `arguments(parser)` and `run(args) -> exit status`."""
