"""Commands for the administrator of a Jenkins."""
