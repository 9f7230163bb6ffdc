"""Mobile IPv6 network functions: home agent packet processor, home agent backend, mobile node."""

__version__ = "0.1.0"
