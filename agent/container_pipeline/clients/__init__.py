"""Clients: one outside system each. All effects are here, and only effects."""
