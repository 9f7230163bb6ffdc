"""HA-PP, the home agent packet processor (RFC 6275 sections 8.4 and 10)."""
