"""The host itself: it behaves as Jenkins does where the library's tests rely on it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from groovy import parts
from groovy.jenkins import Jenkins

NODE = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere"}


@pytest.fixture
def run(jenkins: Jenkins, tmp_path: Path):
    def run(script, **more):
        return jenkins.run(script, **{"node": NODE, "vars": tmp_path, "job": tmp_path.name, **more})

    return run


@pytest.fixture
def sandbox(jenkins: Jenkins):
    if jenkins.parts.lists is None:
        pytest.skip(parts.NO_LISTS)


def test_every_loop_iteration_runs_despite_restarts(run):
    done = run("node { ['a', 'b'].each { name -> stage(name) { sh \"echo in $name\" } } }", restart=True)
    assert (done.result, done.stage_names, done.problems) == ("SUCCESS", ["a", "b"], [])
    assert "in b" in done.lines


def test_closures_share_variables_after_a_restart(run):
    done = run(
        "def all = []\nnode { stage('a') { all << sh(script: 'echo 1', returnStdout: true).trim() } }\necho all.toString()",
        restart=True,
    )
    assert "[1]" in done.lines


def test_state_that_cannot_be_serialised_fails_the_build(run):
    done = run("def m = ('abc' =~ /b/)\nnode { sh 'true' }\necho m.toString()")
    assert done.result == "FAILURE"
    assert "java.util.regex.Matcher" in done.problems[0]


def test_map_entries_held_across_steps_fail_the_build(run):
    done = run("node { for (e in [a: 1]) { sh 'true'; echo e.key } }")
    assert done.result == "FAILURE"
    assert done.problems


#: Every row was put to a Jenkins 2.541.3 on 27 November 2026, in CPS and in @NonCPS code. Its second part is the plugin,
#: in the version there, that decides it: by its lists, by a whitelist in its code, or by an annotation.
SECURITY, CPS, SUPPORT = "script-security 1408", "workflow-cps 4356", "workflow-support 1018"
#: What that Jenkins refuses to a sandboxed script, and what of it the host's refusal names.
REFUSED = {
    "env['PATH']": ("getAt java.lang.String", SECURITY),
    "env[\"${'PATH'}\".toString()]": ("getAt java.lang.String", SECURITY),
    "new File('/etc/passwd').text": ("new java.io.File", SECURITY),
    "System.getenv()": ("java.lang.System getenv", SECURITY),
    "'x'.metaClass": ("metaClass", SECURITY),
    "env.getEnvironment()": ("getEnvironment", SECURITY),
    "'x'.properties": ("properties", SECURITY),
    "currentBuild.rawBuild": ("rawBuild", SUPPORT),
    "currentBuild['rawBuild']": ("getAt java.lang.String", SECURITY),
    "env['PATH'] = 'x'": ("putAt", SECURITY),
    "'id'.execute()": ("execute", SECURITY),
    "groovy.json.JsonOutput.toJson(['x'])": ("groovy.json.JsonOutput toJson", SECURITY),
    "new StringBuilder().@value": ("field java.lang.StringBuilder value", SECURITY),
    "['/etc/passwd'] as File": ("new java.io.File", SECURITY),
    "File f = ['/etc/passwd']": ("new java.io.File", SECURITY),
    "Class.forName('java.io.File')": ("forName", SECURITY),
}
#: What that Jenkins allows, and what it answered.
ALLOWED = {
    "env.NAME": ("value", CPS),
    "env.\"${'NAME'}\"": ("value", CPS),
    "env.getProperty('NAME')": ("value", CPS),
    "[a: 1]['a']": ("1", SECURITY),
    "[a: 1].a": ("1", SECURITY),
    "[1, 2][-1]": ("2", SECURITY),
    "'abc'[1]": ("b", SECURITY),
    "currentBuild.currentResult": ("SUCCESS", SUPPORT),
    "groovy.json.JsonOutput.toJson([a: 1])": ('{"a":1}', SECURITY),
    "[3, 1].collect { it + 1 }": ("[4, 2]", SECURITY),
    "(String) 'x'": ("x", SECURITY),
    "[1, 2].toString()": ("[1, 2]", SECURITY),
    "\"${'1'}\" + \"${'2'}\"": ("12", SECURITY),
    "[[1]].collectMany { it }": ("[1]", SECURITY),
    "(0..3).toList()": ("[0, 1, 2, 3]", SECURITY),
    "'x' ==~ 'x'": ("true", SECURITY),
    "[env.NAME = 'new'].size()": ("1", CPS),
    "env.setProperty('NAME', 'new')": ("null", CPS),
    "println('said')": ("null", CPS),
    "print('said')": ("null", CPS),
    "currentBuild.result": ("null", SUPPORT),
    "[currentBuild.result = 'UNSTABLE'].size()": ("1", SUPPORT),
    "currentBuild.number": ("1", SUPPORT),
    "currentBuild.description": ("null", SUPPORT),
    "[currentBuild.description = 'new'].size()": ("1", SUPPORT),
    "[currentBuild.displayName = 'new'].size()": ("1", SUPPORT),
}
#: What it shows in the log and answers, in CPS code alone; what is no line of the log is "".
SAID = {
    "println('said')": ("said", "null", CPS),
    "print 'said'": ("said", "null", CPS),
    "printf('%s', 'said')": ("said", "null", CPS),
    "this.println('said')": ("said", "null", CPS),
    "['said'].each { println it }": ("said", "[said]", CPS),
    "1.times { print it }": ("0", "null", CPS),
    "println()": ("", "null", CPS),
    "evaluate('1 + 1')": ("", "2", CPS),
}


@pytest.mark.parametrize("form", ["{}", "@NonCPS def x() {{ {} }}\nx()"], ids=["cps", "non-cps"])
@pytest.mark.parametrize("expression", REFUSED)
def test_the_sandbox_refuses_it_even_if_caught(run, sandbox, expression, form):
    done = run(form.format(f"try {{ {expression} }} catch (e) {{ }}"), environment={"NAME": "value"})
    assert REFUSED[expression][0] in str(done.problems[0])
    assert done.problems[0].startswith("Scripts not permitted to use ")


@pytest.mark.parametrize(
    "form", ['echo("${{{}}}")', '@NonCPS def x() {{ {} }}\necho("${{x()}}")'], ids=["cps", "non-cps"]
)
@pytest.mark.parametrize("expression", ALLOWED)
def test_the_sandbox_allows_it(run, sandbox, expression, form):
    done = run(form.format(expression), environment={"NAME": "value"})
    assert done.problems == []
    assert ALLOWED[expression][0] in done.lines


def test_scripts_print_and_evaluate_as_in_jenkins(run, sandbox):
    script = [f"echo('=> ' + {{ -> {expression} }}())" for expression in SAID]
    done = run("\n".join(script))
    expected = [line for said, answer, _plugin in SAID.values() for line in (said, f"=> {answer}")]
    assert done.problems == []
    assert [line for line in done.lines if line] == [*filter(None, expected), "Finished: SUCCESS"]


def test_a_sleep_of_a_moment_ends(run):
    assert run("sleep(time: 1, unit: 'MILLISECONDS')\n[1].each { sleep 0 }").problems == []


def test_a_library_with_a_symbolic_link_is_refused(jenkins, tmp_path):
    (tmp_path / "vars").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "link").symlink_to("../vars")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    done = jenkins.run("echo 'not reached'", node=NODE, vars=tmp_path / "vars")
    assert done.lines == ["ERROR: Rejecting library: symlink found: docs/link", "Finished: FAILURE"]


def test_calling_cps_from_non_cps_code_is_reported(run):
    done = run("String toString() { 'x' }\ndef x() { 1 }\nnode { echo \"${[3, 1].sort { a, b -> x() }}\" }")
    assert "wound up catching" in " ".join(done.problems)


def test_sh_fails_as_jenkins_does(run):
    done = run(
        "node { try { sh 'exit 3' } catch (e) { echo e.message }\n echo \"${sh(script: 'exit 4', returnStatus: true)}\" }"
    )
    assert done.lines[-4:] == ["script returned exit code 3", "+ exit 4", "4", "Finished: SUCCESS"]


def test_credentials_are_bound_masked_and_their_files_deleted(run, jenkins, tmp_path):
    credentials = {
        "login": {"type": "usernamePassword", "username": "me-myself", "password": "s3cret"},
        "file": {"type": "file", "content": "inside\n"},
    }
    script = """node { withCredentials([
        usernamePassword(credentialsId: 'login', usernameVariable: 'U', passwordVariable: 'P'),
        file(credentialsId: 'file', variable: 'F')]) { sh 'echo $U $P; cat $F; echo $F > path' } }"""
    done = run(script, credentials=credentials)
    assert done.result == "SUCCESS"
    assert "**** ****" in done.lines
    assert "inside" in done.lines
    assert "s3cret" not in done.log
    assert not Path((jenkins.home / "workspace" / tmp_path.name / "path").read_text().strip()).exists()


def test_a_missing_credential_is_an_error(run):
    done = run("node { withCredentials([string(credentialsId: 'none', variable: 'X')]) { } }")
    assert "Could not find credentials entry with ID 'none'" in done.log


def test_a_timeout_ends_the_process_and_aborts(run):
    done = run("node { timeout(time: 200, unit: 'MILLISECONDS') { sh 'sleep 30' } }")
    assert done.result == "ABORTED"


def test_parallel_branches_have_their_own_place(run):
    done = run("node { parallel(a: { dir('a') { sh 'pwd' } }, b: { dir('b') { sh 'pwd' } }) }", restart=True)
    assert {line[-2:] for line in done.lines if line.startswith("/")} == {"/a", "/b"}


def test_concurrent_nodes_get_separate_workspaces(run):
    done = run("parallel(a: { node { sh 'sleep 0.2; pwd' } }, b: { node { sh 'pwd' } })")
    assert len({line for line in done.lines if line.startswith("/")}) == 2


def test_a_step_that_needs_a_node_says_so(run):
    assert "hudson.FilePath is missing" in run("sh 'true'").log


def test_the_declarative_front_runs_stages_conditions_and_post(run):
    done = run(
        """pipeline { agent any
        environment { WHO = 'me' }
        options { timeout(time: 1, unit: 'MINUTES') }
        stages {
            stage('One') { steps { sh 'echo $WHO' } }
            stage('Two') { when { expression { false } }
                steps { error 'not reached' } }
            stage('Three') { steps { script { error 'three' } } }
            stage('Four') { steps { echo 'not reached' } }
        }
        post { always { echo 'always' }
            failure { echo 'so be it' }
            success { echo 'not reached' } } }""",
        restart=True,
    )
    assert (done.result, done.problems) == ("FAILURE", [])
    assert {"me", "always", "so be it"} <= set(done.lines)
    assert "not reached" not in done.log
