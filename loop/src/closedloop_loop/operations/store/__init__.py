"""Where the operations journal is kept."""
