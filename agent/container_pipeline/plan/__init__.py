"""Plans: facts in, steps out. Pure: nothing here touches the world, so ``--dry-run`` shows exactly what would run."""
