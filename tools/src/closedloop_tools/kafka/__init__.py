"""The way of events through Kafka: a broker of its own, and what it takes."""
