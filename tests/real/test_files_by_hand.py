"""Manual changes in a project's folder do not affect deploys, and are corrected if they would."""

from __future__ import annotations

from real.site import Site

OTHER = "services: {stranger: {image: 'registry.example/stranger:1'}}\n"
OVERRIDE = "services: {CODE: {environment: {EXTRA: '1'}}}\n"


def put(site: Site) -> None:
    """Write files that Compose would prefer to docker-compose.yml, or merge into it."""
    override = OVERRIDE.replace("CODE", site.code)
    for name, text in (("compose.yaml", OTHER), ("docker-compose.override.yml", override)):
        (site.servers[0].folder / "compose" / site.code / name).write_text(text)


def up_by_hand(site: Site) -> str:
    tool = "docker compose" if site.servers[0].compose == "v2" else "docker-compose"
    return site.sh(f"{tool} up -d 2>&1")


def test_manual_changes_neither_replace_nor_extend_the_release(either: Site):
    first = either.deployed("plain")
    put(either)
    either.deployed("plain")
    before = either.container()
    up_by_hand(either)
    assert either.container() == before
    assert "EXTRA" not in either.environment()
    # One that was deployed without them gets the same when it comes back.
    done = either("rollback")
    assert (done.code, either.running()) == (0, first), done.err
    before = either.container()
    up_by_hand(either)
    assert either.container() == before
    assert "EXTRA" not in either.environment()
    assert either("status", "--json").result["servers"][0]["differs"] == []
    # A renamed container, as Compose v1 leaves it when it is killed, gets its own name, whether the deploy fails or not.
    for behaviour, code in (("exits", 3), ("the same", 0)):
        either.servers[0].docker("rename", either.code, f"45ffcca9f14d_{either.code}")
        version = first if behaviour == "the same" else either.publish(behaviour)
        assert either("deploy", "--version", version).code == code
        listed = either.servers[0].docker("ps", "-a", "--filter", f"name={either.code}", "--format", "{{.Names}}")
        assert listed.split() == [either.code], behaviour
