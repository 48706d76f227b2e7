"""Files in the project's folder: read within bounds, written atomically."""
