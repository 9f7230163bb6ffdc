"""HA-B, the home agent backend: owner of the binding cache, witness of the HA-PPs, giver of leases."""
