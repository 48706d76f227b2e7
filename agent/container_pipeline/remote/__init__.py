"""The wire to a server: the programs that run there, the SSH client, and what a server answers."""
