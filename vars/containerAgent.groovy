import com.cloudbees.groovy.cps.NonCPS
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import groovy.transform.Field

/*
 * The agent, for the other steps: the only one here with sh, withCredentials and libraryResource. What a Jenkinsfile
 * says reaches the agent in environment variables; the shell text is a constant.
 */

/** Programs that a command needs on the node, besides python3. */
@Field static final Map NEEDS = [build: 'docker', push: 'docker', deploy: 'ssh', rollback: 'ssh', status: 'ssh']

/** Credentials that a command gets: what it needs, no more. */
@Field static final Map USES = [
    build: ['registry'], push: ['registry'], promote: ['registry', 'production'], report: ['notify'],
    deploy: ['registry', 'production', 'ssh', 'knownHosts', 'env'],
    rollback: ['registry', 'production', 'ssh', 'knownHosts'],
    status: ['ssh', 'knownHosts'], seed: ['jenkins'],
]

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
    Map keys = read(libraryResource('container-pipeline/keys.json'))
    String found = problem(options, keys[step] ?: keys[''])
    if (found) {
        error("${step}: ${found}")
    }
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
        error('this job has no source to check out: take a node and check out there, or say checkout: false')
    }
}

/** Runs one command and returns its answer, good or bad. */
Map attempt(String command, Map options, List arguments = []) {
    List variables = settings(options) + [
        'CONTAINER_PIPELINE_CALL=' + JsonOutput.toJson([argv: [command] + arguments]),
        'CONTAINER_PIPELINE_NEEDS=' + (NEEDS[command] ?: ''),
        'CONTAINER_PIPELINE_SHA256=' + libraryResource('container-pipeline/agent.sha256').trim(),
        'CONTAINER_PIPELINE_TMP=' + folder(options),
    ]
    withVariables(variables, bindings(command, options)) {
        String answer = launch(command)
        if (answer == 'missing') {
            send('unpack.py', options)
            send('agent.tar.bz2', options)
            answer = launch(command)
        }
        Map result = read(answer)
        result.command = command
        result
    }
}

/** Writes the report of a run, archives it, and tells the webhook where there is one. */
void report(List results, Map options) {
    try {
        List format = options.notify instanceof Map ? ['--format', options.notify.format ?: ''] : []
        dir("${folder(options)}/report") {
            writeFile(file: 'results.json', text: JsonOutput.toJson([results: results]))
            Map told = attempt('report', options, ['--results', 'results.json'] + format)
            archiveArtifacts(artifacts: insist(told).files.join(','))
        }
    } catch (IOException failure) {
        echo("container-pipeline: no report: ${failure.message}")
    }
}

/** Fails the build where the command failed, with the agent's own sentence. */
Map insist(Map result) {
    if (!result.ok) {
        error("${result.command}: ${result.error.message}" + (result.error.hint ? " (${result.error.hint})" : ''))
    }
    return result
}

private String launch(String command) {
    sh(script: libraryResource('container-pipeline/launch.sh'), returnStdout: true, label: "container-pipeline ${command}")
}

/** A folder beside the workspace, for what is not the project's: one for each code, as two may run at once. */
private String folder(Map options) {
    "${env.WORKSPACE_TMP ?: pwd(tmp: true)}/container-pipeline/${options.code ?: 'jenkins'}"
}

private void send(String name, Map options) {
    writeFile(file: "${folder(options)}/${name}", encoding: 'Base64',
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
private List settings(Map options) {
    Map keys = read(libraryResource('container-pipeline/keys.json'))['']
    List variables = []
    for (name in options.keySet().toList()) {
        if (keys[name]?.variable) {
            variables << keys[name].variable + '=' + text(options[name])
        }
    }
    return variables
}

/** Ids come from the call, else from the whole Jenkins' CONTAINER_PIPELINE_CREDENTIALS_… variables. */
private String credential(Map options, String name) {
    def given = name == 'notify' ? options.notify : options.credentials?.get(name)
    def chosen = given instanceof Map ? given[options.environment ?: 'credentials'] : given
    def variable = name == 'knownHosts' ? 'KNOWN_HOSTS' : name.toUpperCase()
    (chosen ?: env["CONTAINER_PIPELINE_CREDENTIALS_${variable}".toString()])?.toString()
}

private List bindings(String command, Map options) {
    List bound = []
    for (name in (USES[command] ?: [])) {
        String id = credential(options, name)
        if (id) {
            bound << binding(name, id)
        }
    }
    return bound
}

private Map binding(String name, String id) {
    switch (name) {
        case 'registry':
            return usernamePassword(credentialsId: id, usernameVariable: 'DOCKER_REGISTRY_USER', passwordVariable: 'DOCKER_REGISTRY_PASS')
        case 'production':
            return usernamePassword(credentialsId: id, usernameVariable: 'DOCKER_REGISTRY_PROD_USER', passwordVariable: 'DOCKER_REGISTRY_PROD_PASS')
        case 'jenkins':
            return usernamePassword(credentialsId: id, usernameVariable: 'JENKINS_USER', passwordVariable: 'JENKINS_TOKEN')
        case 'ssh':
            return sshUserPrivateKey(credentialsId: id, keyFileVariable: 'CONTAINER_PIPELINE_SSH_KEY')
        case 'knownHosts':
            return file(credentialsId: id, variable: 'CONTAINER_PIPELINE_KNOWN_HOSTS')
        case 'env':
            return file(credentialsId: id, variable: 'CONTAINER_PIPELINE_ENV_FILE')
        default:
            return string(credentialsId: id, variable: 'CONTAINER_PIPELINE_WEBHOOK')
    }
}

/** @return what is wrong with the options, in one sentence; null where nothing is. */
@NonCPS
String problem(Map options, Map keys) {
    if (keys.code?.required && !options.code) {
        return "no project code; write code: 'aglaia-web-re'"
    }
    for (entry in options) {
        String found = wrong(entry.key.toString(), entry.value, keys)
        if (found) {
            return found
        }
    }
    return null
}

@NonCPS
private String wrong(String name, Object value, Map keys) {
    Map key = keys[name]
    if (key == null) {
        return "unknown key '${name}'; ${nearest(name, keys.keySet())}".toString()
    }
    if (value == null) {
        return "${name} is null; leave it out instead".toString()
    }
    if (!fits(key.kind, value)) {
        return "${name} must be of kind ${key.kind}, not ${text(value)}".toString()
    }
    if (key.pattern && !(value.toString() ==~ key.pattern)) {
        return "'${value}' is not a project code; use small letters, digits and single dashes, such as aglaia-web-re".toString()
    }
    if (key.choices && !(value.toString() in key.choices)) {
        return "${name} is '${value}'; ${nearest(value.toString(), key.choices)}".toString()
    }
    for (inner in (key.keys && value instanceof Map ? value.keySet() : [])) {
        if (!(inner in key.keys)) {
            return "unknown key '${inner}' in ${name}; ${nearest(inner.toString(), key.keys)}".toString()
        }
    }
    return null
}

@NonCPS
private boolean fits(String kind, Object value) {
    boolean text = value instanceof CharSequence
    switch (kind) {
        case 'text': return text
        case 'integer': return value instanceof Integer && value > 0
        case 'boolean': return value instanceof Boolean
        case 'text or boolean': return text || value instanceof Boolean
        case 'map': return value instanceof Map
        case 'text or map': return text || value instanceof Map
        default: return text || value instanceof List
    }
}

/** The known name with the fewest letters to change, or all of them. */
@NonCPS
private String nearest(String name, Collection known) {
    String best = null
    int least = 4
    for (each in known) {
        int steps = distance(name.toLowerCase(), each.toString().toLowerCase())
        if (steps < least) {
            least = steps
            best = each.toString()
        }
    }
    return best ? "did you mean '${best}'?".toString() : "known are: ${known.join(', ')}".toString()
}

/** Levenshtein's distance: letters to insert, delete or replace. */
@NonCPS
private int distance(String one, String other) {
    List row = (0..other.length()).toList()
    for (int i = 1; i <= one.length(); i++) {
        List next = [i]
        for (int j = 1; j <= other.length(); j++) {
            int replaced = row[j - 1] + (one[i - 1] == other[j - 1] ? 0 : 1)
            next << Math.min(Math.min(row[j] + 1, next[j - 1] + 1), replaced)
        }
        row = next
    }
    return row[other.length()]
}

/** JSON as plain maps and lists, which survive a restart of Jenkins (the parser's own do not). */
@NonCPS
Map read(String json) {
    plain(new JsonSlurper().parseText(json))
}

@NonCPS
private Object plain(Object value) {
    if (value instanceof Map) {
        Map copy = [:]
        for (entry in value) {
            copy[entry.key] = plain(entry.value)
        }
        return copy
    }
    if (value instanceof List) {
        List copy = []
        for (item in value) {
            copy << plain(item)
        }
        return copy
    }
    return value
}

/** A value as the agent reads it from a variable: lists and maps as JSON. */
@NonCPS
private String text(Object value) {
    if (value instanceof Map) {
        return JsonOutput.toJson(value)
    }
    if (value instanceof List) {
        return '[' + value.collect { it instanceof Map ? JsonOutput.toJson(it) : JsonOutput.toJson(it.toString()) }.join(',') + ']'
    }
    return value.toString()
}
