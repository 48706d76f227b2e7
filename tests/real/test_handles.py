"""The handles beside a release: exec, restart, diff, and the logs of a time, a pattern or a service."""

from __future__ import annotations

import json
from pathlib import Path

from real.site import Site, settled
from real.test_terminal import talk

WORKER = """\
  worker:
    image: ${DOCKER_REGISTRY}/CODE:${VERSION}
    entrypoint: sh -c 'trap "exit 0" TERM; echo worker begins; sleep 1000 & wait'
"""


def started(site: Site) -> dict[str, str]:
    return {one["service"]: one["started"] for one in site("status", "--json").result["servers"][0]["containers"]}


def restart_takes_a_service_and_waits_for_health(pair: Site) -> None:
    before = started(pair)
    done = pair("restart", "--service", "worker")
    assert (done.code, "waiting for health" in done.err) == (0, True), done.err
    after = started(pair)
    assert after["worker"] > before["worker"]
    assert after[pair.code] == before[pair.code]
    assert pair("restart").code == 0
    assert started(pair)[pair.code] > before[pair.code]
    done = pair("restart", "--service", "web")
    assert done.code == 1
    assert f"it has no service web — its services are {pair.code}, worker" in done.err
    pair.sh("touch .held; flock .lock sh -c 'until [ ! -e .held ]; do sleep 0.1; done' >/dev/null 2>&1 &")
    assert pair("restart").code == 5
    pair.sh("rm .held")
    settled(pair)


def logs_take_a_service_time_and_pattern(pair: Site) -> None:
    everything = pair("logs").out
    assert "worker begins" in everything
    assert "serving" in everything
    assert "serving" not in pair("logs", "--service", "worker").out
    assert "worker begins" not in pair("logs", "--grep", "^.*serv[a-z]+ [0-9]+$").out
    assert "worker begins" in pair("logs", "--since", "1h", "--service", "worker").out
    later = pair("logs", "--since", "2099-01-01")
    assert (later.code, later.out) == (0, "")
    assert "no log line to show" in later.err
    assert "--since is a duration" in pair("logs", "--since", "yesterday").err
    assert "--grep is no regular expression" in pair("logs", "--grep", "(").err
    assert pair("logs", "--service", "$(reboot)").code == 2
    assert "it has no service web" in pair("logs", "--service", "web").err


def executed(site: Site, *words: str) -> tuple[int, str, str]:
    run = site.start("exec", *words)
    out, err = run.communicate(timeout=60)
    return run.returncode, out, err


def exec_passes_output_input_and_exit_code(pair: Site) -> None:
    words = ["a b", "'", '"', "$HOME", "*", "\n", ";", "ü"]
    code, out, err = executed(pair, "--", "printf", "<%s>", *words)
    assert (code, out) == (0, "".join(f"<{word}>" for word in words)), err
    code, out, err = executed(pair, "--service", "worker", "--", "sh", "-c", "echo no >&2; exit 7")
    assert (code, "no\n" in err, "exited with code 7" in err) == (7, True, True)
    code, out, err = executed(pair, "--json", "--", "echo", "words")
    assert (json.loads(out)["ok"], "words\n" in err) == (True, True)
    assert "it has no service web" in pair("exec", "--service", "web", "--", "true").err


def exec_on_a_terminal_is_a_terminal(site: Site, folder: Path) -> None:
    script = "stty size; tty; read -r line; echo got $line; trap 'exit 130' INT; echo now; sleep 60 & wait"
    words = ["exec", "--project", str(site.folder), "--", "sh", "-c", script]
    code, shown = talk(folder, words, [("/dev/pts/", "hello"), ("now", "\x03")])
    assert "got hello" in shown
    assert code == 130, shown


def diff_shows_files_line_by_line_without_secrets(site: Site, version: str) -> None:
    assert "would change nothing" in site("diff", "--version", version).out
    site.write(".env", "ENV=test\nDB_PASSWORD=second-secret\nNEW=1\n")
    site.write("pages/index.html", "one\n2\n")
    site.write("pages/logo.bin", "\0")
    (site.folder / "pages/gone.html").unlink()
    site.append("docker-compose.yml", "    stop_grace_period: 3s\n")
    following = site.publish("plain")
    before = site.files()
    done = site("diff", "--version", following)
    assert done.code == 0, done.err
    assert f"{version} → {following}" in done.out
    for line in (
        "-DB_PASSWORD=***",
        "+DB_PASSWORD=***",
        "-OLD=***",
        "+NEW=***",
        "-two",
        "+2",
        "+    stop_grace_period: 3s",
    ):
        assert f"    {line}\n" in done.out, done.out
    for line in ("pages/gone.html: removed", "pages/logo.bin: added", "pages/index.html: changed"):
        assert f"  {line}\n" in done.out, done.out
    assert "secret" not in done.out + done.err
    assert "ENV=" not in done.out.replace("-DB_PASSWORD", "")
    assert site.files() == before
    listed = site("diff", "--version", following, "--json").result["servers"][0]["files"]
    assert {one["path"]: one["change"] for one in listed} == {
        ".env": "changed",
        "docker-compose.yml": "changed",
        "pages/gone.html": "removed",
        "pages/index.html": "changed",
        "pages/logo.bin": "added",
    }


def test_handles_work_beside_a_release(either: Site, tmp_path: Path):
    """One release of a service and its worker, for all of them."""
    site = either
    site.append("docker-compose.yml", WORKER.replace("CODE", site.code))
    site.write(".env", "ENV=test\nDB_PASSWORD=first-secret\nOLD=1\n")
    site.write("pages/index.html", "one\ntwo\n")
    site.write("pages/gone.html", "gone\n")
    site.write("container-pipeline.yml", "files: [pages]\n")
    version = site.deployed("plain")
    logs_take_a_service_time_and_pattern(site)
    exec_passes_output_input_and_exit_code(site)
    exec_on_a_terminal_is_a_terminal(site, tmp_path)
    restart_takes_a_service_and_waits_for_health(site)
    diff_shows_files_line_by_line_without_secrets(site, version)
    site("down", "--yes")
    assert f"no container of {site.code} runs there" in site("exec", "--", "true").err
    site.on(*site.lab.servers)
    assert "choose one with --server" in site("exec", "--", "true").err
