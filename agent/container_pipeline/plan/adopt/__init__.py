"""Converts a docker.sh to settings and a Jenkinsfile."""

from container_pipeline.plan.adopt.jenkins import jenkinsfile, rewrite
from container_pipeline.plan.adopt.notes import Adopted, Note
from container_pipeline.plan.adopt.reader import adopt

__all__ = ["Adopted", "Note", "adopt", "jenkinsfile", "rewrite"]
