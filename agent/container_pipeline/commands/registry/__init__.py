"""Commands that speak to registries alone: promote, images, prune."""
