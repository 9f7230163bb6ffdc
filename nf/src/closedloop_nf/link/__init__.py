"""The link between an HA-PP and the HA-B: messages and framing."""
