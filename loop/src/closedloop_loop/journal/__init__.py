"""The intake journal: an event is durable before it is acknowledged, and delivered, again after a crash, until it is finished."""
