"""The lab: the infrastructure of a company, on one machine.

A Docker engine, a development and a production registry, and servers with SSH, all real.
`python3 -m lab up` starts it; it needs only the standard library, so that it runs before any virtual
environment exists. `tests/lab/README.md` describes its parts and fixtures.
"""
