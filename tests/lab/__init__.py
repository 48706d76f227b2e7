"""The lab: what a company has, on one machine.

A Docker engine, a development and a production registry, and servers that are reached by SSH, all real.
`python3 -m lab up` brings it up; it needs nothing but the standard library, so that it runs before any
virtual environment exists. `tests/lab/README.md` says how it is built and what tests can ask of it.
"""
