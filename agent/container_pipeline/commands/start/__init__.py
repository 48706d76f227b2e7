"""Commands around a project: start one, convert one, check one."""
