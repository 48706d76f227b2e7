"""The standard flow for a person."""
