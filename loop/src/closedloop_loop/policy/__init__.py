"""Policy as data: when a loop acts, what it does, where, and what forbids it. docs/policy.md is its guide."""
