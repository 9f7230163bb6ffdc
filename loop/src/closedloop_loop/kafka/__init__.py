"""Growth beyond one machine: accepted events go to a Kafka topic, and loop workers, each with its rulebook, share what comes out of it."""
