"""MN, the mobile node (RFC 6275 section 11): core without I/O, asyncio shell, command line."""
