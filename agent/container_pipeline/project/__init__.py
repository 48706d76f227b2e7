"""Files of the project's own folder: read with bounds, written whole or not at all."""
