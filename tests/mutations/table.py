"""All mutations, by promise. Paths of tests are relative to tests/."""

from __future__ import annotations

from mutations.compose import COMPOSE
from mutations.health import FAILED
from mutations.interruption import ABORTED, FORGED, FROZEN, KILLED, LOCK, LOGIN_SHELLS
from mutations.refusals import HOST_KEYS, MANY, REFUSED
from mutations.release import CHECK, RELEASE
from mutations.secrets import PRUNED, SECRETS, VALUES
from mutations.swarm import SWARM

MUTATIONS = [
    *HOST_KEYS,
    *LOCK,
    *KILLED,
    *ABORTED,
    *FORGED,
    *FROZEN,
    *LOGIN_SHELLS,
    *FAILED,
    *REFUSED,
    *MANY,
    *RELEASE,
    *CHECK,
    *COMPOSE,
    *PRUNED,
    *VALUES,
    *SECRETS,
    *SWARM,
]
