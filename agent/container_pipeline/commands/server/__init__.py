"""Commands that act on servers."""
