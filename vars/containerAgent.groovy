import groovy.json.JsonOutput
import groovy.transform.Field

/*
 * The agent, for the other steps: the only one here with sh, withCredentials and libraryResource. What a Jenkinsfile
 * says reaches the agent in environment variables; the shell text is a constant.
 */

/** Programs that a command needs on the node, besides python3. */
@Field static final Map NEEDS = [build: 'docker', push: 'docker', deploy: 'ssh', rollback: 'ssh', status: 'ssh']

/** A single step: checks, goes to a node, runs one command of the agent, fails with its sentence. */
Map call(String step, String command, Map options, List arguments = []) {
    check(step, options)
    onNode(options) {
        Map result = attempt(command, options, arguments + given(options))
        if (options.notify) {
            report([result], options)
        }
        insist(result)
    }
}

/** Refuses a map that cannot be meant, before anything is touched. */
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

/** A sentence of the library's own in the user's language; the agent and launch.sh speak it by themselves. */
String say(String text, Map values = [:]) {
    containerOptions.sentence(words(), text, values)
}

/** The translations where the environment asks for Chinese, as gettext looks for it; English needs none. */
private Map words() {
    String language = env.LC_ALL ?: env.LC_MESSAGES ?: env.LANG ?: ''
    boolean chinese = language.toLowerCase().startsWith('zh')
    return chinese ? containerOptions.read(libraryResource('container-pipeline/messages.zh.json')) : [:]
}

/** Runs the body on the node there is; allocates one, and checks out, only where there is none. */
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
    ]
    withVariables(variables, bindings(uses == null ? known.uses[command] ?: [] : uses, options, known.credentials)) {
        Map result = launch(command)
        if (result.missing) {
            // A folder for each step: others may send the same at the same time.
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

/** Writes the report of a run, archives it, and tells the webhook where there is one. */
void report(List results, Map options) {
    try {
        List format = options.notify instanceof Map ? ['--format', options.notify.format ?: ''] : []
        // A folder for each run: others of the same code may write theirs at the same time.
        String place = "${folder()}/${options.code ?: 'jenkins'}/report-${UUID.randomUUID()}"
        String file = place + '/results.json'
        writeFile(file: file, text: JsonOutput.toJson([results: results]))
        Map told = attempt('report', options, ['--project', place, '--results', file] + format)
        dir(place) {
            archiveArtifacts(artifacts: insist(told).files.join(','))
            deleteDir()
        }
    } catch (IOException failure) {
        echo("container-pipeline: ${say('no report: {problem}', [problem: failure.message])}")
    }
}

/** Fails the build where the command failed, with the agent's own sentence. */
Map insist(Map result) {
    if (!result.ok) {
        String hint = result.error.hint ? " (${result.error.hint})" : ''
        error("${result.command}: ${result.error.message}${hint}")
    }
    return result
}

private Map launch(String command) {
    // Not in the node's own encoding: what the agent says is UTF-8 everywhere.
    String answer = sh(script: libraryResource('container-pipeline/launch.sh'), returnStdout: true, encoding: 'UTF-8',
        label: "container-pipeline ${command}")
    return containerOptions.read(answer)
}

/** A folder beside the workspace, for what is not the project's. What belongs to one code has a folder of its own there. */
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

/** What a single step says besides settings goes on the agent's command line. */
private List given(Map options) {
    List words = []
    for (name in ['environment', 'version']) {
        if (options[name]) {
            words.addAll(["--${name}".toString(), options[name].toString()])
        }
    }
    return words
}

/** The agent's settings among the options, as the variables that it reads. */
private List settings(Map options, Map keys) {
    List variables = []
    for (name in options.keySet().toList()) {
        if (keys[name]?.variable) {
            variables << keys[name].variable + '=' + containerOptions.text(options[name])
        }
    }
    return variables
}

/** Ids come from the call, else from the whole Jenkins' CONTAINER_PIPELINE_CREDENTIALS_… variables. */
private String credential(Map options, String name) {
    def given = name == 'notify' ? options.notify : options.credentials?.get(name)
    // A map: the webhook's with its format, or the .env files by environment.
    def chosen = given instanceof Map ? given[name == 'notify' ? 'credentials' : options.environment] : given
    def variable = name.replaceAll('([A-Z])', '_$1').toUpperCase()
    (chosen ?: env."CONTAINER_PIPELINE_CREDENTIALS_${variable}")?.toString()
}

private List bindings(List uses, Map options, Map credentials) {
    List bound = []
    for (name in uses) {
        String id = credential(options, name)
        // Where servers have a login of their own, the one that may push is not for this command.
        boolean replaced = "${name}Pull".toString() in uses && credential(options, "${name}Pull")
        if (id && !replaced) {
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
