"""Runs as a table, and plan and records held against each other. No torch."""
