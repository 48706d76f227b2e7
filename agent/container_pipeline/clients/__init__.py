"""Clients: one outside system each. All effects are here, and nothing but effects."""
