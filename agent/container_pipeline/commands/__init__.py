"""Commands: each gathers facts, plans, and executes. A command reads as the story of what it does."""
