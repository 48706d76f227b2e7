"""The options of a Jenkinsfile: the keys of its map, and its wishes for the flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from container_pipeline import windows
from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.keys import BY_NAME, KEYS, SIGN_PASSWORD, Key
from container_pipeline.model import Code
from container_pipeline.plan.flow import SIGNING, Wishes
from container_pipeline.values import ATTEST, CHATS, EVENTS, MENTION, SIGN, WITHIN, convert

#: Keys of the steps that are not settings of the agent. ``kind`` as in settings, and "text or boolean", "text or map".
JENKINS_KEYS: tuple[Key, ...] = (
    Key("promote", "boolean", None, "promote; by default where a production registry is set"),
    Key("deploy", "boolean", None, "deploy; by default where servers are set"),
    Key(
        "approve", "approve", None, "ask before anything reaches production: true, the question, or [by: …, within: …]"
    ),
    Key("environments", "list", None, "which environments, in which order"),
    Key("notify", "text or map", None, "id of a secret text: a webhook's address; or [credentials: id, on: …]"),
    Key("node", "text", None, "label of the node to allocate where none is"),
    Key("checkout", "boolean", None, "check out where the node is allocated here"),
    Key("credentials", "map", None, "ids of Jenkins credentials"),
)
#: Additional keys of single steps, which become options of the agent's command; other steps do not accept them.
STEP_KEYS: dict[str, tuple[str, ...]] = {
    "containerPipeline": ("override", "noRelease"),
    "containerBuild": (),
    "containerPush": ("version",),
    "containerPromote": ("version",),
    "containerDeploy": ("environment", "version", "override", "noRelease"),
    "containerRollback": ("environment", "version"),
    "containerStatus": ("environment",),
    "containerHold": ("environment", "reason"),
    "containerResume": ("environment",),
    "containerRestart": ("environment", "service"),
    "containerLogs": ("environment", "service", "since", "grep", "tail"),
}
#: All steps that a Jenkinsfile can call.
STEPS = (*STEP_KEYS, "containerFleet", "containerSeed")
#: Keys of containerSeed, which has no project.
SEED_KEYS: tuple[Key, ...] = (
    Key("jobs", "list", None, "jobs files, below the folder it runs in; jobs.yml by default"),
    Key("prune", "boolean", None, "remove jobs that no file names any more, instead of disabling them"),
    Key("adopt", "boolean", None, "take over jobs of the same name that seed did not make"),
    Key("yes", "boolean", None, "disable or remove even most of the jobs"),
    Key("dryRun", "boolean", None, "only show what would change"),
    *(key for key in JENKINS_KEYS if key.name in ("node", "checkout", "credentials")),
)
#: Keys of containerFleet, whose projects are those on the servers.
FLEET_KEYS: tuple[Key, ...] = (
    Key("jobs", "list", None, "jobs files that name the servers, below the folder it runs in"),
    Key("check", "boolean", None, "fail the build if anything is wrong"),
    Key("disk", "boolean", None, "also read the size of images"),
    *(BY_NAME[name] for name in ("servers", "remote_root", "sudo", "at_once")),
    *(key for key in JENKINS_KEYS if key.name in ("node", "checkout", "credentials")),
)
#: The same of ``approve``.
APPROVE_KEYS: dict[str, dict[str, Any]] = {
    "question": {"kind": "text"},
    "by": {"kind": "list"},
    "within": {"kind": "text", "pattern": WITHIN, "rule": "within"},
}
#: What the library checks of the keys within ``notify``; ``rule`` names its sentence.
NOTIFY_KEYS: dict[str, dict[str, Any]] = {
    "credentials": {"kind": "text"},
    "format": {"kind": "text", "choices": list(CHATS)},
    "secret": {"kind": "text"},
    "mention": {"kind": "list", "pattern": MENTION, "rule": "mention"},
    "on": {"kind": "list", "choices": list(EVENTS)},
}


@dataclass(frozen=True)
class Credential:
    """A credential of Jenkins: what it is, the step that binds it, and the variables in which the agent finds it.

    Its id comes from the key ``credentials`` of a Jenkinsfile; those of ``notify`` from the key of that name.
    """

    name: str
    text: str
    step: str
    variables: tuple[str, ...]


def _login(name: str, text: str, prefix: str) -> Credential:
    return Credential(name, text, "usernamePassword", (f"{prefix}_USER", f"{prefix}_PASS"))


CREDENTIALS: dict[str, Credential] = {
    credential.name: credential
    for credential in (
        _login("registry", "user name and password of the registry", "DOCKER_REGISTRY"),
        _login(
            "registryPull",
            "user name and password that servers pull with from the development registry",
            "DOCKER_REGISTRY_PULL",
        ),
        _login("production", "user name and password of the production registry", "DOCKER_REGISTRY_PROD"),
        _login(
            "productionPull",
            "user name and password that servers pull with from the production registry",
            "DOCKER_REGISTRY_PROD_PULL",
        ),
        Credential("ssh", "private key for the servers", "sshUserPrivateKey", ("CONTAINER_PIPELINE_SSH_KEY",)),
        Credential("env", "secret file that becomes the server's .env", "file", ("CONTAINER_PIPELINE_ENV_FILE",)),
        Credential("knownHosts", "secret file: known_hosts", "file", ("CONTAINER_PIPELINE_KNOWN_HOSTS",)),
        Credential("sign", "secret file: the private key of cosign", "file", (BY_NAME["sign"].variable,)),
        Credential("signPassword", "secret text: the password of that key", "string", (SIGN_PASSWORD,)),
        Credential("notify", "secret text: the address of a webhook", "string", ("CONTAINER_PIPELINE_WEBHOOK",)),
        Credential(
            "notifySecret",
            "secret text: what a webhook's messages are signed with",
            "string",
            ("CONTAINER_PIPELINE_WEBHOOK_SECRET",),
        ),
        Credential(
            "jenkins", "user name and API token of Jenkins", "usernamePassword", ("JENKINS_USER", "JENKINS_TOKEN")
        ),
    )
}
#: What a single step's command gets, and no more. A pipeline's stages say it themselves.
USES: dict[str, tuple[str, ...]] = {
    "build": ("registry", *SIGNING),
    "push": ("registry", *SIGNING),
    "promote": ("registry", "production"),
    "deploy": ("registry", "registryPull", "production", "productionPull", "ssh", "knownHosts", "env"),
    "rollback": ("registry", "registryPull", "production", "productionPull", "ssh", "knownHosts"),
    "status": ("ssh", "knownHosts"),
    "hold": ("ssh", "knownHosts"),
    "resume": ("ssh", "knownHosts"),
    "history": ("ssh", "knownHosts"),
    "restart": ("ssh", "knownHosts"),
    "logs": ("ssh", "knownHosts"),
    "fleet": ("ssh", "knownHosts"),
    "report": ("notify", "notifySecret"),
    "seed": ("jenkins",),
}
#: Those that a Jenkinsfile's key ``credentials`` names; the one of containerSeed is ``jenkins``.
PROJECT_CREDENTIALS = tuple(name for name in CREDENTIALS if name not in ("notify", "notifySecret", "jenkins"))


def library_keys() -> dict[str, dict[str, Any]]:
    """Return what the library checks a Jenkinsfile's map against, by step; "" stands for all steps that are not listed."""
    own = {key.name for key in JENKINS_KEYS}
    keys = {key.camel: _described(key, key.variable) for key in KEYS if key.name not in own}
    keys.update({key.name: _described(key) for key in JENKINS_KEYS})
    keys["freeze"].update(pattern=windows.PATTERN, rule="freeze")
    keys["code"].update(required=True, pattern=Code.PATTERN, rule="code")
    keys["credentials"]["keys"] = list(PROJECT_CREDENTIALS)
    keys["notify"].update(_described(BY_NAME["notify"], BY_NAME["notify"].variable), kind="text or map", of=NOTIFY_KEYS)
    keys["approve"].update(of=APPROVE_KEYS, keys=list(APPROVE_KEYS))
    keys["attest"]["choices"] = list(ATTEST)
    keys["sign"].update(kind="text or map", keys=list(SIGN), of={name: {"kind": "text"} for name in SIGN})
    keys["notify"]["keys"] = list(NOTIFY_KEYS)
    others = {
        "reason": {"kind": "text", "required": True},
        "noRelease": {"kind": "boolean"},
        "tail": {"kind": "integer"},
    }
    seed = {key.name: _described(key) for key in SEED_KEYS}
    seed["credentials"]["keys"] = ["jenkins"]
    fleet = {key.camel: _described(key) for key in FLEET_KEYS}
    fleet["credentials"]["keys"] = ["ssh", "knownHosts"]
    single = {
        step: {**keys, **{name: others.get(name, {"kind": "text"}) for name in names}}
        for step, names in STEP_KEYS.items()
        if names
    }
    return {"": keys, **single, "containerFleet": fleet, "containerSeed": seed}


def library_facts() -> dict[str, dict[str, Any]]:
    """Return ``resources/container-pipeline/keys.json``: the keys of each step, and the credentials with who uses which."""
    bindings = {one.name: {"step": one.step, "variables": list(one.variables)} for one in CREDENTIALS.values()}
    return {**library_keys(), "credentials": bindings, "uses": {name: list(USES[name]) for name in USES}}


def _described(key: Key, variable: str = "") -> dict[str, Any]:
    described: dict[str, Any] = {"kind": key.kind}
    if variable:
        described["variable"] = variable
    if key.choices:
        described["choices"] = list(key.choices)
    return described


def wishes_of(data: Mapping[str, Any]) -> tuple[Wishes, list[str]]:
    """Parse the library's input: the wishes for the flow, and the names of the environments."""
    names = data.get("environments") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SettingsError(_("environments must be a list of names, such as ['test', 'prod']"))
    if not isinstance(data.get("override", ""), str):
        raise SettingsError(_("{where} must be text", where="override"))
    for name in ("promote", "deploy", "noRelease"):
        if not isinstance(data.get(name), (type(None), bool)):
            raise SettingsError(_("{name} must be true or false", name=name))
    approve = None if data.get("approve") is None else convert(BY_NAME["approve"], data["approve"], "Jenkinsfile")
    secret = data.get("secretEnv", [])
    return Wishes(
        data.get("promote"),
        data.get("deploy"),
        approve,
        data.get("override", ""),
        no_release=bool(data.get("noRelease")),
        secret_env=None if secret is True else tuple(secret or ()),
    ), names
