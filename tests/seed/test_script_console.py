"""The script that seed sends to Jenkins' script console, on Jenkins' current Groovy; Hudson's is older."""

from __future__ import annotations

import subprocess
from pathlib import Path

from container_pipeline.clients.jenkins import Controller, Found
from container_pipeline.model import JenkinsAccess

MARKED = "<project><description>MARK 中文 \U0001f40b\n]]&gt;</description></project>\n"


class Console(Controller):
    """A controller whose script console is a Groovy of its own, started with the packages that Jenkins opens to it."""

    def __init__(self, classpath: str, items: Path) -> None:
        super().__init__(JenkinsAccess("http://127.0.0.1:9"))
        self.classpath, self.place = classpath, items

    def run_script(self, text: str, path: str = "scriptText") -> str:
        script = self.place.with_suffix(".groovy")
        script.write_text(text, encoding="utf-8")
        opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in ("java.lang", "java.io", "java.util")]
        console = [str(Path(__file__).with_name("Console.groovy")), str(self.place), str(script)]
        java = ["java", "-XX:TieredStopAtLevel=1", "-Dsun.jnu.encoding=UTF-8", *opened, "-cp", self.classpath]
        done = subprocess.run([*java, "groovy.ui.GroovyMain", *console], capture_output=True, text=True, check=True)
        return done.stdout


def test_the_script_returns_configuration_of_marked_items_only(classpath, tmp_path):
    place = tmp_path / "items"
    (place / "team" / "web").mkdir(parents=True)
    texts = {
        "by-hand": "<project/>",
        "ours": MARKED,
        "team/config.xml": "<folder/>",
        "team/ours": MARKED,
        "team/web/config.xml": MARKED,
    }
    for name, text in texts.items():
        (place / name).write_text(text, encoding="utf-8")
    found = Console(classpath, place).items("MARK")
    assert sorted(found, key=lambda one: one.name) == [
        Found("by-hand", False),
        Found("ours", False, MARKED),
        Found("team", True),
        Found("team/ours", False, MARKED),
        Found("team/web", True, MARKED),
    ]
