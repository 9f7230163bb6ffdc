"""What a policy would have caused on recorded events."""
