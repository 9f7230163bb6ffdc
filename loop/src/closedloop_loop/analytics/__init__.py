"""Pure state machines from records to onsets: one per control loop and target, no clock, no I/O."""
