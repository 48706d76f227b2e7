"""The whole output after failures on several servers, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from real.site import Site

ENGLISH = {
    "locale": "C",
    "broken": "the service is down: the deploy failed ({code} is unhealthy), and so did the rollback",
    "commands": "server-1 — log in with `ssh server-1`, then start the previous release with "
    "`container-pipeline rollback --server server-1 --version {former}`",
    "rolled back": "the deploy failed, and the previous release {former} runs again: {code} is unhealthy",
    "hint": "server-2 — the service's last lines are above; nothing needs to be done on the server",
    "probe": "HEALTHCHECK output: no database",
    "status": "a deploy and its rollback failed: manual repair is needed",
    "doctor": "✗ a deploy and its rollback failed there: manual repair is needed",
    "history": "failed: {code} is unhealthy",
    "both": "failed: {code} is unhealthy; what ran before could not be restored: ",
    "repaired": "an earlier deploy and its rollback failed; the previous files are restored",
    "back": "rollback",
    "changed": "its host key has changed",
    "unknown": "its host key is not known",
}
CHINESE = {
    "locale": "zh_CN.UTF-8",
    "broken": "服务已停止：部署失败（{code} 不健康），回滚也失败",
    "commands": "server-1 — 登录查看：`ssh server-1`，再启动上一个发布："
    "`container-pipeline rollback --server server-1 --version {former}`",
    "rolled back": "部署失败，上一个发布 {former} 已恢复运行：{code} 不健康",
    "hint": "server-2 — ",
    "probe": "HEALTHCHECK 输出：no database",
    "status": "部署和回滚都失败：需要人工处理",
    "doctor": "✗ 那里的部署和回滚都失败：需要人工处理",
    "history": "失败：{code} 不健康",
    "both": "失败：{code} 不健康；之前运行的版本未能恢复：",
    "repaired": "之前的一次部署及其回滚都失败了；已恢复部署之前的文件",
    "back": "回滚",
    "changed": "主机密钥已改变",
    "unknown": "主机密钥未知",
}


@pytest.fixture(params=[ENGLISH, pytest.param(CHINESE, marks=pytest.mark.matrix)], ids=["en", "zh"])
def words(request: pytest.FixtureRequest) -> dict[str, str]:
    return dict(request.param)


def row(text: str, name: str) -> str:
    """Return a server's row in the table."""
    return next(line for line in text.splitlines() if line.startswith(f"{name} ") and " — " not in line)


def since(site: Site) -> dict[str, str]:
    """Return since when each server runs its release, to the second; the table for people has minutes."""
    return {server["name"]: server["since"] for server in site("status", "--json").result["servers"]}


def test_one_server_is_down_and_another_went_back(site: Site, words: dict[str, str]):
    site.on(*site.lab.servers)
    former = site.deployed()
    first = since(site)
    # On the first server, what runs cannot be started again: its image is in no registry.
    site.sh("sed -i 's/^VERSION=.*/VERSION=gone/' .env")
    site.set("LC_ALL", words.pop("locale"))
    said = {name: text.format(code=site.code, former=former) for name, text in words.items()}
    done = site("deploy", "--version", site.publish("unhealthy"))
    assert done.code == 4
    both = done.out + done.err
    assert row(both, "server-1").split()[1:] == ["broken", "-"]
    assert row(both, "server-2").split()[1:] == ["rolled-back", former]
    # The reason appears once, below the table.
    for name, reason in (("server-1", "broken"), ("server-2", "rolled back")):
        (line,) = (line for line in both.splitlines() if said[reason] in line)
        assert re.match(f"{name}(: |：)", line)
    for name in ("commands", "hint", "probe"):
        assert said[name] in both, both
    log = [line for line in both.splitlines() if line.startswith("server-1: ")]
    assert any("here I am" in line and "HEALTHCHECK" not in line for line in log)

    looked = site("status")
    status = looked.out
    assert said["commands"].partition(" — ")[2] in looked.err
    assert said["status"] in row(status, "server-1")
    assert said["status"] not in row(status, "server-2")
    doctor = site("doctor")
    assert doctor.code == 1
    assert doctor.out.count(said["doctor"]) == 1
    history = site("history").out
    assert said["both"] in next(line for line in history.splitlines() if line.startswith("server-1 "))
    assert said["both"] not in next(line for line in history.splitlines() if line.startswith("server-2 "))
    assert history.count(said["history"]) == 2

    # The commands that were printed repair it.
    repair = site("rollback", "--server", "server-1", "--version", former)
    assert repair.code == 0
    assert said["repaired"] in repair.err
    history = site("history").out
    assert next(line for line in history.splitlines() if line.startswith("server-1 ")).endswith(f"  {said['back']}")
    assert said["status"] not in site("status").out
    now = since(site)
    assert now["server-1"] > first["server-1"], "SINCE is when it came to run again"
    assert now["server-2"] == first["server-2"]


def test_each_distinct_hint_is_shown_by_every_command(site: Site, words: dict[str, str], tmp_path: Path):
    site.on(*site.lab.servers)
    first, second = site.servers
    lines = Path(site.lab.known_hosts).read_text().splitlines()
    other = next(line.split()[1:3] for line in lines if second.host in line)
    file = tmp_path / "known hosts"
    file.write_text(f"{first.name},{first.host} {' '.join(other)}\n")
    site.set("CONTAINER_PIPELINE_KNOWN_HOSTS", str(file))
    site.set("LC_ALL", words["locale"])
    for command in ("status", "history", "logs", "pull"):
        done = site(command)
        both = done.out + done.err
        assert done.code == 1
        assert f'ssh-keygen -f "{file}" -R' in both.replace("'", '"'), both
        assert "--accept-new-host-key" in both
        assert both.count(words["changed"]) == 1
        assert both.count(words["unknown"]) == 1


def test_the_image_that_cannot_be_pulled_is_named(site: Site):
    site.append("docker-compose.yml", "  cache:\n    image: 127.0.0.1:9/cache:7\n")
    done = site("deploy", "--version", site.publish())
    assert done.code == 1
    assert "127.0.0.1:9/cache:7 cannot be pulled" in done.err
