"""Option, else environment, else project file, else default; invalid values are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from container_pipeline.errors import SettingsError
from container_pipeline.keys import KEYS, Values
from container_pipeline.model import Target
from container_pipeline.plan import doctor, lint
from container_pipeline.settings import load
from unit.table import table


@pytest.fixture
def project(tmp_path):
    def write(text: str):
        (tmp_path / "container-pipeline.yml").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_option_overrides_environment_and_environment_overrides_file(project):
    folder = project("code: from-file\nnamespace: from-file\ntimeout: 5\n")
    environ = {"CONTAINER_PIPELINE_CODE": "from-environment", "CONTAINER_PIPELINE_NAMESPACE": "from-environment"}
    settings = load(folder, {"code": "from-option"}, environ=environ)
    assert [getattr(settings.values, name) for name in ("code", "namespace", "timeout", "keep")] == [
        "from-option",
        "from-environment",
        5,
        5,
    ]


def test_site_default_yields_to_file_and_its_environments(project):
    folder = project(
        "code: a-b\nkeep: 3\nservers: [file]\nenvironments: {test: {servers: [test-1]}, prod: {servers: [prod-1]}, bare: {}}\n"
    )
    site = {
        f"CONTAINER_PIPELINE_DEFAULT_{key}": value
        for key, value in (("SERVERS", "site"), ("KEEP", "9"), ("AT_ONCE", "2"))
    }
    hosts = {
        name: [one.host for one in load(folder, {}, name, environ=site).servers]
        for name in ("", "test", "prod", "bare")
    }
    assert hosts == {"": ["file"], "test": ["test-1"], "prod": ["prod-1"], "bare": ["file"]}
    chosen = load(folder, {}, "test", environ=site)
    assert (chosen.values.keep, chosen.values.at_once, chosen.overridden()) == (3, 2, [])
    assert chosen.origins() == {
        "code": "container-pipeline.yml",
        "keep": "container-pipeline.yml",
        "environments": "container-pipeline.yml",
        "servers": "environments.test",
        "at_once": "CONTAINER_PIPELINE_DEFAULT_AT_ONCE",
    }


def test_plain_variable_overrides_every_environment_and_is_reported(project):
    folder = project("code: a-b\nenvironments: {test: {servers: [test-1]}, prod: {servers: [prod-1], keep: 3}}\n")
    settings = load(folder, {}, "test", environ={"CONTAINER_PIPELINE_SERVERS": "web-1"})
    assert [one.host for one in settings.servers] == ["web-1"]
    assert settings.overridden() == [("test", "servers"), ("prod", "servers")]
    [good, *bad] = doctor.origins("settings", settings.origins(), settings.overridden())
    assert good.ok
    assert "servers (CONTAINER_PIPELINE_SERVERS)" in good.text
    assert [(one.ok, one.repair) for one in bad] == [(False, "rename it to CONTAINER_PIPELINE_DEFAULT_SERVERS")] * 2
    source = lint.Source("container-pipeline.yml", (folder / "container-pipeline.yml").read_text())
    found = lint.check(lint.Facts(project_file=source, overridden=tuple(settings.overridden())))
    assert [(one.rule, one.line) for one in found if one.file == "container-pipeline.yml"] == [("CP701", 2)] * 2


def test_bad_site_default_is_refused_by_variable_name(tmp_path):
    with pytest.raises(SettingsError, match="CONTAINER_PIPELINE_DEFAULT_KEEP must be a whole number"):
        load(tmp_path, {}, environ={"CONTAINER_PIPELINE_DEFAULT_KEEP": "many"})


def test_a_project_without_a_file_has_the_defaults(tmp_path):
    assert load(tmp_path, {}, environ={}).values == Values()


@table(
    ("text", "sentence", "hint"),
    [
        ("cod: x", "unknown key 'cod' in container-pipeline.yml", "did you mean code?"),
        ("timeout: soon", "timeout (container-pipeline.yml) must be a whole number", ""),
        ("timeout: 0", "timeout (container-pipeline.yml) must be a whole number", ""),
        ("cache: maybe", "cache (container-pipeline.yml) must be true or false", ""),
        ("servers: 5", "servers (container-pipeline.yml) must be a list", ""),
        ("servers: [a, a]", "server a is listed twice", ""),
        ("servers: [{hots: a}]", "is not a server", ""),
        ("servers: [{host: a, prot: 1}]", "unknown key 'prot' in servers", "did you mean port?"),
        ("builder: kaniko", "builder (container-pipeline.yml) is 'kaniko'", "use one of: auto, buildkit, engine"),
        ("registry: produktion", "registry (container-pipeline.yml) is 'produktion'", "did you mean production?"),
        ("environments: {test: {server: [a]}}", "unknown key 'server' in environments", "did you mean servers?"),
        ("environments: {test: {sudo: b}}", "unknown key 'sudo' in environments", "use one of"),
        ("- a", "container-pipeline.yml must hold keys and values", ""),
        ("a: b: c", "container-pipeline.yml:1 cannot be read", ""),
        ("code: [a]", "code (container-pipeline.yml) must be text", ""),
        ("code: |\n  a\n  b\n", "code (container-pipeline.yml) must be one line", ""),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence(project, text, sentence, hint):
    with pytest.raises(SettingsError) as refused:
        load(project(text), {}, environ={})
    assert sentence in refused.value.message
    assert hint in refused.value.hint


def test_a_variable_is_named_when_it_is_wrong(tmp_path):
    with pytest.raises(SettingsError, match="CONTAINER_PIPELINE_TIMEOUT must be a whole number"):
        load(tmp_path, {}, environ={"CONTAINER_PIPELINE_TIMEOUT": "soon"})


@pytest.mark.parametrize("value", ["web1,deploy@web2:22", "web1 deploy@web2:22", '["web1", "deploy@web2:22"]'])
def test_list_variable_accepts_commas_blanks_or_json(tmp_path, value):
    settings = load(tmp_path, {}, environ={"CONTAINER_PIPELINE_SERVERS": value})
    assert settings.servers == (Target("web1"), Target("web2", "deploy", 22))


def test_map_variable_accepts_json_or_pairs(tmp_path):
    for value in ('{"A": "1", "B": "x y"}', "A=1"):
        settings = load(tmp_path, {}, environ={"CONTAINER_PIPELINE_BUILD_ARGS": value})
        assert settings.values.build_args["A"] == "1"


@table(
    ("text", "command"),
    [
        ("release: echo $A && b", ("sh", "-c", "echo $A && b")),
        ("release: '[ -f x ] && migrate'", ("sh", "-c", "[ -f x ] && migrate")),
        ("release: |\n  one\n  two", ("sh", "-c", "one\ntwo")),
        ("release: [python, manage.py, '1']", ("python", "manage.py", "1")),
        ("release: {command: [sleep, 1], timeout: 9, service: worker}", ("sleep", "1")),
    ],
)
def test_release_command_is_a_text_or_a_list(tmp_path, text, command):
    (tmp_path / "container-pipeline.yml").write_text(text)
    values = load(tmp_path, {}, environ={}).values
    assert values.release["command"] == command
    assert values.release["timeout"] == (9 if "timeout" in text else 600)


@table(
    "text",
    [
        "{timeout: 3}",
        "{command: x, time: 3}",
        "['']",
        "[[a]]",
        "{command: x, timeout: 0}",
        "{command: x, service: a b}",
    ],
)
def test_wrong_release_command_is_refused(tmp_path, text):
    (tmp_path / "container-pipeline.yml").write_text(f"release: {text}")
    with pytest.raises(SettingsError, match="release"):
        load(tmp_path, {}, environ={})


@table(
    ("text", "value"),
    [
        ("check: /health", {"path": "/health", "port": 0, "status": ("200-399",), "within": 60, "host": "localhost"}),
        (
            "check: {path: /, port: 80, status: [200, 401], within: 5, host: 'a.example:8080'}",
            {"path": "/", "port": 80, "status": ("200", "401"), "within": 5, "host": "a.example:8080"},
        ),
        ("drain: 5", {"seconds": 5, "command": ()}),
        ("drain: {command: [a, b c]}", {"seconds": 0, "command": ("a", "b c")}),
    ],
)
def test_check_and_drain_have_short_forms(tmp_path, text, value):
    (tmp_path / "container-pipeline.yml").write_text(text)
    assert getattr(load(tmp_path, {}, environ={}).values, text.partition(":")[0]) == value


@table(("text", "value"), [("", "true"), ("attest: yes", "true"), ("attest: no", "false"), ("attest: provenance",) * 2])
def test_attest_is_a_boolean_or_provenance(tmp_path, text, value):
    (tmp_path / "container-pipeline.yml").write_text(text)
    assert load(tmp_path, {}, environ={}).values.attest == value.rpartition(" ")[2]


def test_a_signing_key_has_a_short_form(tmp_path):
    for text in ("sign: keys/cosign.key", "sign: {key: keys/cosign.key}"):
        (tmp_path / "container-pipeline.yml").write_text(text)
        settings = load(tmp_path, {}, environ={"COSIGN_PASSWORD": "a-word"})
        assert settings.values.sign == {"key": "keys/cosign.key"}
        assert "a-word" in [secret.reveal() for secret in settings.passwords()]


@table(
    "text",
    [
        "sign: {kye: cosign.key}",
        "attest: sbom",
        "sign: [a, b]",
        "check: health",
        "check: '/a b'",
        "check: {port: 80}",
        "check: {path: /, port: 70000}",
        "check: {path: /, status: 99}",
        "check: {path: /, status: []}",
        "check: {path: /, status: 399-200}",
        "check: {path: /, host: 'a b'}",
        "check: {pth: /}",
        "drain: soon",
        "drain: {second: 3}",
    ],
)
def test_wrong_attest_sign_check_drain_is_refused(tmp_path, text):
    (tmp_path / "container-pipeline.yml").write_text(text)
    with pytest.raises(SettingsError, match=text.partition(":")[0]):
        load(tmp_path, {}, environ={})


def test_environment_overrides_file_and_yields_to_options(project):
    folder = project("code: a\nservers: [x]\ntimeout: 9\nenvironments:\n  prod: {servers: [y, z], timeout: 30}\n")
    assert [t.name for t in load(folder, {}, "prod", environ={}).servers] == ["y", "z"]
    assert load(folder, {}, "prod", environ={}).values.timeout == 30
    assert [t.name for t in load(folder, {"servers": ["q"]}, "prod", environ={}).servers] == ["q"]
    assert [t.name for t in load(folder, {}, environ={}).servers] == ["x"]


def test_settings_always_know_every_server_of_the_project(project):
    folder = project("servers: [x]\nenvironments: {test: {servers: [y]}, prod: {servers: [z, x]}}\n")
    environ = {"CONTAINER_PIPELINE_SERVERS": "v"}
    for environment in ("", "test", "prod"):
        settings = load(folder, {"servers": ["q"]}, environment, environ)
        assert [target.name for target in settings.all_targets()] == ["x", "v", "q", "y", "z"]


def test_one_host_with_two_folders_is_two_servers(project):
    folder = project(
        "environments:\n  test: {servers: [{host: a, remote_root: /srv/test}]}\n"
        "  prod: {servers: [{host: a, remote_root: /srv/prod}, {host: a, name: b, remote_root: /srv/test}]}\n"
    )
    assert [target.remote_root for target in load(folder, {}, environ={}).all_targets()] == [
        "/srv/test",
        "/srv/prod",
        "/srv/test",
    ]


def test_an_unknown_environment_names_the_nearest(project):
    with pytest.raises(SettingsError) as refused:
        load(project("environments: {production: {servers: [a]}}"), {}, "prodution", environ={})
    assert refused.value.hint == "did you mean production?"


@table(
    ("environ", "role", "variable"),
    [
        ({}, "development", "DOCKER_REGISTRY"),
        ({}, "production", "DOCKER_REGISTRY_PROD"),
        ({"DOCKER_REGISTRY": "r.example"}, "development", "DOCKER_REGISTRY_USER"),
        ({"DOCKER_REGISTRY": "r.example", "DOCKER_REGISTRY_USER": "u"}, "development", "DOCKER_REGISTRY_PASS"),
        ({"DOCKER_REGISTRY_PROD": "r.example"}, "production", "DOCKER_REGISTRY_PROD_USER"),
        (
            {"DOCKER_REGISTRY_PROD": "r.example", "DOCKER_REGISTRY_PROD_USER": "u"},
            "production",
            "DOCKER_REGISTRY_PROD_PASS",
        ),
    ],
)
def test_each_missing_variable_is_named(tmp_path, environ, role, variable):
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, {}, environ=environ).access(role, login=True)
    assert refused.value.message.startswith(f"{variable} is not set")
    assert "/etc/profile" in refused.value.hint


PULL = {"DOCKER_REGISTRY_PROD_PULL_USER": "reader", "DOCKER_REGISTRY_PROD_PULL_PASS": "may-read"}
BOTH = {
    "DOCKER_REGISTRY": "dev.example",
    "DOCKER_REGISTRY_USER": "ci",
    "DOCKER_REGISTRY_PASS": "may-push",
    "DOCKER_REGISTRY_PROD": "prod.example",
    "DOCKER_REGISTRY_PROD_USER": "releaser",
    "DOCKER_REGISTRY_PROD_PASS": "may-release",
}


def test_servers_pull_with_a_login_of_their_own(tmp_path):
    settings = load(tmp_path, {}, environ={**BOTH, **PULL})
    assert (settings.pull_from().user, settings.pull_from().password.reveal()) == ("reader", "may-read")
    assert settings.access("production", login=True).user == "releaser"
    assert load(tmp_path, {"registry": "development"}, environ={**BOTH, **PULL}).pull_from().user == "ci"
    assert load(tmp_path, {}, environ=BOTH).pull_from().user == "releaser"


def test_the_development_registry_has_a_pull_login_too(tmp_path):
    pull = {"DOCKER_REGISTRY_PULL_USER": "reader", "DOCKER_REGISTRY_PULL_PASS": "p"}
    assert load(tmp_path, {"registry": "development"}, environ={**BOTH, **pull}).pull_from().user == "reader"


@pytest.mark.parametrize("missing", PULL)
def test_half_a_pull_login_names_the_other_half(tmp_path, missing):
    environ = {**BOTH, **{name: value for name, value in PULL.items() if name != missing}}
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, {}, environ=environ).pull_from()
    assert refused.value.message.startswith(f"{missing} is not set")


def test_every_password_is_known_for_redaction(tmp_path):
    found = {secret.reveal() for secret in load(tmp_path, {}, environ={**BOTH, **PULL}).passwords()}
    assert found == {"may-push", "may-release", "may-read"}


def test_a_refused_pull_login_names_its_own_variables(tmp_path):
    from container_pipeline.clients.registry import sentences

    access = load(tmp_path, {}, environ={**BOTH, **PULL}).pull_from()
    assert "DOCKER_REGISTRY_PROD_PULL_USER" in str(sentences.denied(access, "x").hint)
    assert "DOCKER_REGISTRY_PROD," in str(sentences.unreachable(access, "h", OSError("x")).hint)


def test_servers_pull_from_production_where_one_is_set(tmp_path):
    both = {"DOCKER_REGISTRY": "dev.example", "DOCKER_REGISTRY_PROD": "prod.example"}
    assert str(load(tmp_path, {}, environ=both).pull_from().registry) == "prod.example"
    assert str(load(tmp_path, {"registry": "development"}, environ=both).pull_from().registry) == "dev.example"
    assert str(load(tmp_path, {}, environ={"DOCKER_REGISTRY": "dev.example"}).pull_from().registry) == "dev.example"


def test_a_namespace_stands_before_the_code(tmp_path):
    assert str(load(tmp_path, {"code": "app", "namespace": "team"}, environ={}).repository) == "team/app"


def test_every_key_has_variable_and_jenkinsfile_names():
    by_name = {key.name: key for key in KEYS}
    assert (by_name["env_file"].variable, by_name["env_file"].camel) == ("CONTAINER_PIPELINE_ENV_FILE", "envFile")


def test_jenkins_comes_from_the_environment_alone(tmp_path):
    environ = {"JENKINS_URL": "https://ci.example/jenkins/", "JENKINS_USER": "admin", "JENKINS_TOKEN": "secret"}
    access = load(tmp_path, {}, environ=environ).controller()
    assert (access.url, access.user, access.token.reveal()) == ("https://ci.example/jenkins/", "admin", "secret")
    assert "secret" not in repr(access)


@table("url", ["", "ci.example", "https://me:secret@ci.example/", "ftp://x", "http://a b"])
def test_invalid_jenkins_address_is_refused_only_when_needed(tmp_path, url):
    settings = load(tmp_path, {}, environ={"JENKINS_URL": url})
    with pytest.raises(SettingsError, match="JENKINS_URL is not") as refused:
        settings.controller()
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("ending", ["\n::end ok", "\r", "\x1b[2J", "\x00", "\u2028"])
def test_build_url_with_control_character_is_refused(tmp_path: Path, ending: str):
    with pytest.raises(SettingsError, match="BUILD_URL holds a line break or another control character"):
        load(tmp_path, {"code": "web"}, "", {"BUILD_URL": f"https://jenkins.example/job/web/1/{ending}"})
