"""Where the binding cache is durable: one small interface, two engines."""
