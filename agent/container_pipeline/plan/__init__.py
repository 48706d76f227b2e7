"""Plans: facts in, steps out. Pure: nothing here has effects, so ``--dry-run`` shows exactly what would run."""
