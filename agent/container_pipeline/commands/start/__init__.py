"""Commands around a project: start one, take one over, check it."""
