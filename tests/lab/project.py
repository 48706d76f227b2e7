"""A small project that follows the convention, for tests that need any service."""

from __future__ import annotations

import subprocess
from pathlib import Path

_DOCKERFILE = """\
FROM busybox:latest
ADD start /start
EXPOSE 8080/tcp
ENTRYPOINT ["/bin/sh", "/start"]
"""
# Without the trap, the first process would ignore SIGTERM, and every stop would take ten seconds.
_START = """\
trap 'exit 0' TERM INT
mkdir -p /www
printf '{"version": "%s", "env": "%s", "text": "TEXT"}' "$VERSION" "$ENV" > /www/index.html
echo ok > /www/healthz
echo "TEXT started"
httpd -f -p 8080 -h /www &
wait
"""
_COMPOSE = """\
version: "3.5"
services:
  CODE:
    image: ${DOCKER_REGISTRY:-registry.example}/CODE:${VERSION:-latest}
    container_name: CODE
    hostname: CODE
    ports:
      - PORT:8080
    ulimits:
      memlock:
        soft: -1
        hard: -1
    env_file:
      - .env
    environment:
      - TZ=Asia/Shanghai
      - LANG=en_US.UTF-8
      - LANGUAGE=en_US:en
      - LC_ALL=en_US.UTF-8
    restart: unless-stopped
    logging:
      driver: "json-file"
      options:
        max-size: "128m"
        max-file: "20"
"""


class Project:
    """A folder with Dockerfile, docker-compose.yml and .env; the service answers {"version", "env", "text"} at PORT."""

    def __init__(self, folder: Path, code: str, port: int) -> None:
        self.folder = folder
        self.code = code
        self.port = port
        folder.mkdir(parents=True)
        self.write("Dockerfile", _DOCKERFILE)
        self.write("docker-compose.yml", _COMPOSE.replace("CODE", code).replace("PORT", str(port)))
        self.write(".env", "ENV=test\n")
        self.say("hello")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def append(self, name: str, text: str) -> None:
        self.write(name, (self.folder / name).read_text() + text)

    def commit(self, subject: str) -> str:
        """Commit a change with git, and everything else that has changed; return the revision."""
        self.write("changed", subject)
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]

        def git(*words: str) -> str:
            command = ["git", "-C", str(self.folder), *who, *words]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

        git("init", "-q")
        git("add", "-A")
        git("commit", "-q", "-m", subject)
        return git("rev-parse", "HEAD")

    def say(self, text: str) -> None:
        """Change the response, and so the image."""
        self.write("start", _START.replace("TEXT", text))

    def exit_at_once(self, status: int = 1) -> None:
        self.write("start", f"echo 'cannot start: no database' >&2\nexit {status}\n")

    def report_health(self, healthy: bool = True) -> None:
        """Give the image a HEALTHCHECK that passes, or fails."""
        test = "wget -q -O /dev/null http://127.0.0.1:8080/healthz" if healthy else "exit 1"
        check = f"HEALTHCHECK --interval=1s --timeout=2s --retries=2 CMD {test}\n"
        self.write("Dockerfile", _DOCKERFILE + check)
