"""The protocol with a server: the programs that run there, the SSH client, and a server's responses."""
