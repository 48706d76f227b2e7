"""Findings for other programs: SARIF 2.1.0 and JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from container_pipeline import __version__
from container_pipeline.model import NOT_XML
from container_pipeline.plan.lint.model import RULES, Finding


def as_dict(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "file": finding.file,
        "line": finding.line,
        "message": finding.message,
        "hint": finding.hint,
        "fixable": finding.edit is not None,
    }


def text(findings: Sequence[Finding]) -> str:
    return "\n".join(str(one) for one in findings)


def sarif(findings: Sequence[Finding]) -> str:
    """Return a log as docs.oasis-open.org/sarif/sarif/v2.1.0 defines it."""
    rules = [{"id": one.id, "shortDescription": {"text": one.why}} for one in RULES.values()]
    driver = {"name": "container-pipeline", "version": __version__, "rules": rules}
    results = [
        {
            "ruleId": one.rule,
            "level": "warning",
            "message": {"text": f"{one.message} — {one.hint}" if one.hint else one.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": one.file},
                        "region": {"startLine": one.line},
                    }
                }
            ],
        }
        for one in findings
    ]
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(log, ensure_ascii=False, indent=1)


def junit(findings: Sequence[Finding]) -> str:
    """Return each finding as a failed case, and each rule without findings as a passed case."""
    failed = {one.rule for one in findings}
    cases = [
        f"  <testcase classname={quoteattr(one.file)} name={quoteattr(f'{one.rule} line {one.line}')}"
        f' file={quoteattr(one.file)} line="{one.line}">\n'
        f"    <failure message={quoteattr(one.message)} type={quoteattr(one.rule)}>{escape(str(one))}</failure>\n"
        "  </testcase>"
        for one in findings
    ]
    cases += [
        f'  <testcase classname="container-pipeline.lint" name={quoteattr(f"{one.id} {one.why}")}/>'
        for one in RULES.values()
        if one.id not in failed
    ]
    head = f'<testsuite name="container-pipeline lint" tests="{len(cases)}" failures="{len(findings)}">'
    text = "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite>"])
    return NOT_XML.sub("\ufffd", text)


FORMATS = {"text": text, "sarif": sarif, "junit": junit}
