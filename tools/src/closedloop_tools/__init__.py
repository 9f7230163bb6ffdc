"""Shared by demo, bench and measurement code; knows neither Ansible nor the network functions."""
