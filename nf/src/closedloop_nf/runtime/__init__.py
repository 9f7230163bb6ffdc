"""What every function's shell needs: time, configuration, logging, the loop that drives a core."""
