"""The Jenkins part of doctor: what Jenkins lacks for the jobs of the jobs file."""

from __future__ import annotations

from collections.abc import Sequence

from container_pipeline.clients import jenkins_facts
from container_pipeline.clients.jenkins import Controller
from container_pipeline.errors import JenkinsError
from container_pipeline.execute import jobs_files
from container_pipeline.i18n import _
from container_pipeline.plan.doctor_jenkins import TOOLS, JenkinsCheck, JenkinsFacts, judge
from container_pipeline.plan.seed.jobs import Job
from container_pipeline.settings import Settings


def checks(settings: Settings, files: Sequence[str] = ()) -> list[JenkinsCheck]:
    """Query Jenkins and return checks. Without jobs ``files`` or a ``jobs.yml``, only Jenkins itself is checked.

    Raises SettingsError if JENKINS_URL is not set or a jobs file has mistakes.
    """
    controller = Controller(settings.controller())
    default = settings.project / "jobs.yml"
    patterns = list(files) or ([str(default)] if default.is_file() else [])
    jobs = jobs_files.load(patterns)[0] if patterns else []
    try:
        version = controller.version()
        facts = _gather(controller, jobs, version)
    except JenkinsError as error:
        return [JenkinsCheck("Jenkins", False, error.message, error.hint)]
    reached = _("{url} responds, version {version}", url=controller.access.url, version=version or _("unknown"))
    return [JenkinsCheck("Jenkins", True, reached), *judge(jobs, facts)]


def _gather(controller: Controller, jobs: Sequence[Job], version: str) -> JenkinsFacts:
    folders = {"", *(folder for job in jobs for folder in job.folders)}
    nodes = jenkins_facts.nodes(controller, TOOLS)
    return JenkinsFacts(
        version=version,
        plugins=controller.plugins(),
        libraries=jenkins_facts.libraries(controller),
        credentials={folder: jenkins_facts.credentials(controller, folder) for folder in sorted(folders)},
        labels={label for node in nodes for label in (*node.labels, node.name)},
        tools={node.name: node.tools for node in nodes},
    )
