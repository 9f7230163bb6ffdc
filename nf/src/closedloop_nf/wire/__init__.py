"""Wire formats: every header, message and option that the functions read or write, once each, as pure functions on `bytes`."""
