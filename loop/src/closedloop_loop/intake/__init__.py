"""The VES listener: who may send, what may be sent, and the answers (VES Event Listener 7.2)."""
