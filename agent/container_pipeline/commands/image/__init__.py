"""Commands that docker.sh had: build, run, tag, push, and its pipelines."""
