/*
 * The declarative front of this host: ours, not Jenkins' (which reads the pipeline's syntax tree and is not to be had
 * without Jenkins). It knows agent, options, environment, stages, stage, parallel, when, steps and post.
 */
def call(Closure body) {
    part(body.owner, record(body))
}

def record(Closure section) {
    def recorder = new host.Recorder()
    section.delegate = recorder
    section.resolveStrategy = Closure.DELEGATE_FIRST
    section()
    return recorder
}

def only(recorder, String name) {
    for (entry in recorder.calls) {
        if (entry[0] == name) {
            return entry.size() > 1 ? entry[-1] : [:]
        }
    }
    return null
}

def part(script, section) {
    onAgent(script, only(section, 'agent')) {
        withVariables(script, only(section, 'environment')) {
            withOptions(script, only(section, 'options'), 0) {
                guarded(script, section)
            }
        }
    }
}

def onAgent(script, agent, Closure inner) {
    if (agent == null || agent == 'none') {
        return inner()
    }
    def label = agent instanceof Closure ? only(record(agent), 'label') : null
    script.node(label) {
        def source = sourceOf(script)
        if (source != null) {
            script.stage('Declarative: Checkout SCM') { script.checkout(source) }
        }
        inner()
    }
}

def sourceOf(script) {
    try {
        return script.scm
    } catch (Exception none) {
        return null
    }
}

def withVariables(script, environment, Closure inner) {
    if (environment == null) {
        return inner()
    }
    def pairs = []
    for (entry in record(environment).assigned.entrySet().collect { [it.key, it.value] }) {
        pairs << "${entry[0]}=${entry[1]}".toString()
    }
    script.withEnv(pairs, inner)
}

def withOptions(script, options, int index, Closure inner) {
    def wrappers = options == null ? [] : record(options).calls.findAll { it[0] in ['timeout', 'retry', 'timestamps'] }
    if (index >= wrappers.size()) {
        return inner()
    }
    def option = wrappers[index]
    def rest = { withOptions(script, options, index + 1, inner) }
    if (option[0] == 'timeout') {
        script.timeout(option[1], rest)
    } else if (option[0] == 'retry') {
        script.retry(option[1], rest)
    } else {
        script.timestamps(rest)
    }
}

def guarded(script, section) {
    def failure = null
    try {
        def steps = only(section, 'steps')
        if (steps != null) {
            steps.delegate = script
            steps.resolveStrategy = Closure.DELEGATE_FIRST
            steps()
        }
        def branches = only(section, 'parallel')
        if (branches != null) {
            def bodies = [:]
            for (branch in each(script, record(branches))) {
                bodies[branch[0]] = branch[1]
            }
            script.parallel(bodies)
        }
        def stages = only(section, 'stages')
        if (stages != null) {
            for (stage in each(script, record(stages))) {
                stage[1]()
            }
        }
    } catch (Throwable thrown) {
        failure = thrown
        script.currentBuild.result = thrown instanceof org.jenkinsci.plugins.workflow.steps.FlowInterruptedException ? 'ABORTED' : 'FAILURE'
    }
    after(script, only(section, 'post'), failure)
    if (failure != null) {
        throw failure
    }
}

def each(script, stages) {
    def bodies = []
    for (entry in stages.calls) {
        def name = entry[1]
        def section = record(entry[2])
        bodies << [name, {
            script.stage(name) {
                if (holds(script, only(section, 'when'))) {
                    part(script, section)
                } else {
                    script.echo("Stage \"${name}\" skipped due to when conditional")
                }
            }
        }]
    }
    return bodies
}

def holds(script, condition) {
    if (condition == null) {
        return true
    }
    for (entry in record(condition).calls) {
        def met
        if (entry[0] == 'expression') {
            entry[1].delegate = script
            met = entry[1]()
        } else if (entry[0] == 'branch') {
            met = script.env.BRANCH_NAME == entry[1]
        } else {
            throw new IllegalArgumentException("this host knows no when condition ${entry[0]}")
        }
        if (!met) {
            return false
        }
    }
    return true
}

def after(script, post, failure) {
    if (post == null) {
        return
    }
    def result = script.currentBuild.currentResult
    for (entry in record(post).calls) {
        if (entry[0] in ['always', 'cleanup', result.toLowerCase()]) {
            entry[1].delegate = script
            entry[1].resolveStrategy = Closure.DELEGATE_FIRST
            entry[1]()
        }
    }
}
