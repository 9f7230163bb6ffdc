"""HA-B's JSON API: types, document, routes."""
