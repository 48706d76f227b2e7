import groovy.json.JsonOutput
import groovy.transform.Field

/*
 * Runs the agent for the other steps: the only file here with sh, withCredentials and libraryResource. Options of a
 * Jenkinsfile reach the agent in environment variables; the shell text is a constant.
 */

/** Programs that a command needs on the node, besides python3. */
@Field static final Map NEEDS = [build: 'docker', push: 'docker', deploy: 'ssh', rollback: 'ssh', status: 'ssh', history: 'ssh', hold: 'ssh', resume: 'ssh',
    restart: 'ssh', logs: 'ssh', fleet: 'ssh']

/** Runs a single step: checks the options, allocates a node, runs one command of the agent, fails with its error. */
Map call(String step, String command, Map options, List arguments = []) {
    check(step, options)
    onNode(options) {
        Map result = attempt(command, options, arguments + given(options))
        if (options.notify) {
            report([results: [result], failed_before: failedBefore()], options, facts().uses[command] ?: [])
        }
        insist(result)
    }
}

/** Refuses invalid options, before anything is changed. */
void check(String step, Map options) {
    Map known = facts()
    String found = containerOptions.problem(options, known[step] ?: known[''], words())
    if (found) {
        error("${step}: ${found}")
    }
}

/** The keys of each step, the credentials, and which command uses which: the agent's own lists. */
private Map facts() {
    containerOptions.read(libraryResource('container-pipeline/keys.json'))
}

/** Returns one of the library's own messages in the user's language; the agent and launch.sh translate theirs. */
String say(String text, Map values = [:]) {
    containerOptions.sentence(words(), text, values)
}

/** Returns the translations if the environment asks for Chinese, by the rules of gettext; English needs none. */
private Map words() {
    String language = env.LC_ALL ?: env.LC_MESSAGES ?: env.LANG ?: ''
    boolean chinese = language.toLowerCase().startsWith('zh')
    return chinese ? containerOptions.read(libraryResource('container-pipeline/messages.zh.json')) : [:]
}

/** Runs the body on the current node; outside of a node, allocates one and checks out. */
def onNode(Map options, Closure body) {
    if (env.WORKSPACE) {
        return body()
    }
    node((options.node ?: env.CONTAINER_PIPELINE_NODE ?: '').toString()) {
        if (options.checkout != false) {
            checkout(source())
        }
        body()
    }
}

private source() {
    try {
        return scm
    } catch (Exception none) {
        error(say('this job has no source to check out: allocate a node and check out there, or set checkout: false'))
    }
}

/** Runs one command with the credentials that it uses, and no others, and returns its answer, good or bad. */
Map attempt(String command, Map options, List arguments = [], List uses = null) {
    Map known = facts()
    List variables = settings(options, known['']) + [
        'CONTAINER_PIPELINE_CALL=' + JsonOutput.toJson([argv: [command] + arguments]),
        'CONTAINER_PIPELINE_NEEDS=' + (NEEDS[command] ?: ''),
        'CONTAINER_PIPELINE_SHA256=' + libraryResource('container-pipeline/agent.sha256').trim(),
        'CONTAINER_PIPELINE_START=' + libraryResource('container-pipeline/start.py'),
        'CONTAINER_PIPELINE_TMP=' + folder(),
    ] + (tells(options) ? ['CONTAINER_PIPELINE_TELLS_CHAT=true'] : [])
    withVariables(variables, bindings(uses == null ? known.uses[command] ?: [] : uses, options, known.credentials)) {
        Map result = launch(command)
        if (result.missing) {
            // A folder per step: other steps may send the same files at the same time.
            String sent = "${folder()}/${options.code ?: 'jenkins'}/${UUID.randomUUID()}"
            for (name in result.missing) {
                send(name, sent)
            }
            result = withEnv(["CONTAINER_PIPELINE_SENT=${sent}"]) { launch(command) }
        }
        result.command = command
        result
    }
}

/** Stashes what promotion and deploy need of the project; returns the stash's name. */
String pack(String wishes, Map options) {
    String name = "container-pipeline-${UUID.randomUUID()}"
    String place = "${folder()}/${options.code}/${name}"
    insist(attempt('carry', options, ['--pack', "${place}/carried.tar".toString(), '--wishes', wishes]))
    dir(place) {
        stash(name: name, includes: 'carried.tar')
        deleteDir()
    }
    return name
}

/** Empties the current folder and puts there what `pack` has stashed. */
void unpack(String name, Map options) {
    deleteDir()
    String place = "${folder()}/${options.code}/${name}"
    dir(place) {
        unstash(name)
    }
    insist(attempt('carry', options, ['--unpack', "${place}/carried.tar".toString()]))
    dir(place) {
        deleteDir()
    }
}

/** Returns the environments whose .env is a secret file of Jenkins; true for all. */
Object secretEnv(Map options) {
    def given = options.credentials?.env
    if (given instanceof Map && !env.CONTAINER_PIPELINE_CREDENTIALS_ENV) {
        return given.keySet().toList()
    }
    return (given || env.CONTAINER_PIPELINE_CREDENTIALS_ENV) as boolean
}

/** Returns whether a chat may be told of this build. */
boolean tells(Map options) {
    options.notify || env.CONTAINER_PIPELINE_CREDENTIALS_NOTIFY || env.CONTAINER_PIPELINE_WEBHOOK
}

/** Returns whether the last build before this one that was neither aborted nor overtaken failed. */
boolean failedBefore() {
    def before = currentBuild.previousBuild
    for (int i = 0; i < 20 && before && before.result in [null, 'ABORTED', 'NOT_BUILT']; i++) {
        before = before.previousBuild
    }
    return before?.result in ['FAILURE', 'UNSTABLE']
}

/**
 * Writes the report of a run, archives it, and tells the chat if there is a webhook. `story` has the results and what else
 * the message says; `used` are the credentials of the run, none of which may be shown.
 */
void report(Map story, Map options, List used) {
    try {
        // A folder per run: other runs of the same code may write theirs at the same time.
        String place = "${folder()}/${options.code ?: 'jenkins'}/report-${UUID.randomUUID()}"
        String file = place + '/results.json'
        writeFile(file: file, text: JsonOutput.toJson(story))
        List uses = (facts().uses.report + used).unique()
        Map told = attempt('report', options, ['--project', place, '--results', file], uses)
        dir(place) {
            if (insist(told).files) {
                archiveArtifacts(artifacts: told.files.join(','))
            }
            deleteDir()
        }
    } catch (IOException failure) {
        echo("container-pipeline: ${say('no report: {problem}', [problem: failure.message])}")
    }
}

/** Fails the build if the command failed, with the agent's error; NOT_BUILT if a later build has overtaken it. */
Map insist(Map result) {
    if (!result.ok) {
        if (result.exit_code == 6) {
            currentBuild.result = 'NOT_BUILT'
        }
        String hint = result.error.hint ? " (${result.error.hint})" : ''
        error("${result.command}: ${result.error.message}${hint}")
    }
    return result
}

private Map launch(String command) {
    // Not in the node's encoding: the agent's output is always UTF-8.
    String answer = sh(script: libraryResource('container-pipeline/launch.sh'), returnStdout: true, encoding: 'UTF-8',
        label: "container-pipeline ${command}")
    return containerOptions.read(answer)
}

/** Returns a folder beside the workspace, for files that are not the project's; each code has its own folder in it. */
private String folder() {
    "${env.WORKSPACE_TMP ?: pwd(tmp: true)}/container-pipeline"
}

private void send(String name, String folder) {
    writeFile(file: "${folder}/${name}", encoding: 'Base64',
        text: libraryResource(resource: "container-pipeline/${name}", encoding: 'Base64'))
}

private withVariables(List variables, List bound, Closure body) {
    if (bound) {
        return withCredentials(bound) { withEnv(variables, body) }
    }
    withEnv(variables, body)
}

/** Returns the options of a single step that are not settings, as arguments of the agent. */
private List given(Map options) {
    List words = []
    for (name in ['environment', 'version', 'override', 'service', 'since', 'grep', 'tail']) {
        if (options[name]) {
            words.addAll(["--${name}".toString(), options[name].toString()])
        }
    }
    return words + (options.noRelease ? ['--no-release'] : [])
}

/** Returns the settings among the options, as the agent's variables. */
private List settings(Map options, Map keys) {
    List variables = []
    for (name in options.keySet().toList()) {
        // A text of notify is the id of a credential.
        if (keys[name]?.variable && (name != 'notify' || options.notify instanceof Map)) {
            variables << keys[name].variable + '=' + containerOptions.text(options[name])
        }
    }
    return variables
}

/** Returns the id of a credential: from the call, else from Jenkins' CONTAINER_PIPELINE_CREDENTIALS_… variables. */
private String credential(Map options, String name) {
    def given = options.credentials?.get(name)
    def chosen = given instanceof Map ? given[options.environment] : given
    if (name in ['notify', 'notifySecret']) {
        Map notify = options.notify instanceof Map ? options.notify : [credentials: options.notify]
        chosen = name == 'notify' ? notify.credentials : notify.secret
    }
    def variable = name.replaceAll('([A-Z])', '_$1').toUpperCase()
    (chosen ?: env."CONTAINER_PIPELINE_CREDENTIALS_${variable}")?.toString()
}

private List bindings(List uses, Map options, Map credentials) {
    List bound = []
    for (name in uses) {
        String id = credential(options, name)
        // Where servers have a login of their own, the one that may push is not for this command.
        boolean replaced = "${name}Pull".toString() in uses && credential(options, "${name}Pull")
        // What a pull request builds was reviewed by nobody, and is not pushed.
        boolean kept = env.CHANGE_ID && name in ['sign', 'signPassword']
        if (id && !replaced && !kept) {
            bound << binding(credentials[name], id)
        }
    }
    return bound
}

private Map binding(Map credential, String id) {
    List names = credential.variables
    switch (credential.step) {
        case 'usernamePassword':
            return usernamePassword(credentialsId: id, usernameVariable: names[0], passwordVariable: names[1])
        case 'sshUserPrivateKey':
            return sshUserPrivateKey(credentialsId: id, keyFileVariable: names[0])
        case 'file':
            return file(credentialsId: id, variable: names[0])
        default:
            return string(credentialsId: id, variable: names[0])
    }
}
