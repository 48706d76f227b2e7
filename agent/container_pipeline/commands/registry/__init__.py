"""Commands that only use registries: promote, images, prune."""
