/** See containerPipeline.txt. */
Map call(Map options = [:]) {
    containerAgent.check('containerPipeline', options)
    Map run = [results: [], used: [], unfinished: '', approver: '', stages: null, carries: false, stashed: '']
    // Where the node is allocated here, none is held while a question stands.
    boolean own = !env.WORKSPACE
    while (run.stages == null || run.stages) {
        Map there = run.stashed ? options + [checkout: false] : options
        containerAgent.onNode(there) {
            advance(run, options, own)
        }
        if (run.stages) {
            askWithoutNode(run, options)
        }
    }
    summary(run.results)
}

/** Carries out stages up to the end, or up to a question that stands while no node is held. */
private void advance(Map run, Map options, boolean own) {
    boolean leaves = false
    try {
        if (run.stashed) {
            containerAgent.unpack(run.stashed, options)
        }
        if (run.stages == null) {
            plan(run, options)
        }
        while (run.stages && !leaves) {
            Map step = run.stages[0]
            run.unfinished = step.name
            if (step.question && own && run.carries) {
                tell(step, run, options)
                run.stashed = containerAgent.pack(wishes(options), options)
                leaves = true
            } else {
                stage(step.name) {
                    carryOut(step, run, options)
                }
                run.unfinished = ''
                run.stages = run.stages.drop(1)
            }
        }
    } finally {
        if (!leaves) {
            conclude(run, options)
        }
    }
}

/** Asks; a question that nobody answered, or that was declined, is reported from any node that is free within five minutes. */
private void askWithoutNode(Map run, Map options) {
    boolean answered = false
    try {
        Map step = run.stages[0]
        stage(step.name) {
            run.approver = ask(step)
        }
        answered = true
        run.unfinished = ''
        run.stages = run.stages.drop(1)
    } finally {
        if (!answered) {
            catchError(buildResult: null, stageResult: null) {
                timeout(time: 5, unit: 'MINUTES') {
                    containerAgent.onNode(options + [checkout: false]) {
                        conclude(run, options)
                    }
                }
            }
        }
    }
}

private void conclude(Map run, Map options) {
    if (run.results || run.unfinished) {
        describe(run.results, options, run.unfinished)
    }
    if (run.results) {
        Map story = [results: run.results, unfinished: run.unfinished, failed_before: containerAgent.failedBefore()]
        containerAgent.report(story, options, run.used)
    }
}

private String wishes(Map options) {
    Map wished = options.subMap(['promote', 'deploy', 'approve', 'environments', 'override', 'noRelease'])
    groovy.json.JsonOutput.toJson(wished + [secretEnv: containerAgent.secretEnv(options)])
}

/** Gets the stages from the agent, because the project's settings are on the node; its refusal is the run's first result. */
private void plan(Map run, Map options) {
    run.stages = []
    Map answer = containerAgent.attempt('stages', options, ['--wishes', wishes(options)])
    if (!answer.ok) {
        run.results << answer
    }
    run.stages = containerAgent.insist(answer).stages
    run.carries = answer.carries
}

/** Tells the chat that a question stands, and what runs where it asks about; servers that do not answer are only in the log. */
private void tell(Map step, Map run, Map options) {
    if (!containerAgent.tells(options)) {
        return
    }
    List told = []
    if (step.command) {
        Map status = containerAgent.attempt(step.command, at(step, options), step.arguments, step.credentials)
        told = status.ok ? [status] : []
    }
    containerAgent.report([results: run.results + told, question: step.question], options, run.used)
}

/** Returns the options for the environment of a stage. */
private Map at(Map step, Map options) {
    step.environment ? options + [environment: step.environment] : options
}

/** Asks before production; returns who answered. */
private String ask(Map step) {
    Map question = [message: step.question, submitterParameter: 'approver'] + (step.by ? [submitter: step.by] : [:])
    if (!step.within) {
        return input(question)
    }
    timeout(time: step.within, unit: 'SECONDS') { input(question) }
}

private void carryOut(Map step, Map run, Map options) {
    run.used.addAll(step.credentials)
    if (step.question) {
        tell(step, run, options)
        run.approver = ask(step)
        return
    }
    List version = run.results ? ['--version', run.results[0].version] : []
    withEnv(["CONTAINER_PIPELINE_APPROVED_BY=${run.approver}"]) {
        Map result = containerAgent.attempt(step.command, at(step, options), step.arguments + version, step.credentials)
        run.results << result
        containerAgent.insist(result)
    }
}

/** Returns one result for the whole run, in the form of a command's result. */
private Map summary(List results) {
    Map first = results[0]
    // Only a push learns a digest.
    List digests = results.collect { it.digest }.findAll { it }
    [
        schema: first.schema, command: 'pipeline', ok: true, code: first.code, version: first.version,
        digest: digests ? digests[-1] : '',
        steps: results.collectMany { it.steps }, servers: results.collectMany { it.servers }, error: null,
    ]
}

private void describe(List results, Map options, String unfinished) {
    Map first = results ? results[0] : [code: options.code]
    String text = [first.code, first.version].findAll { it }.join(' ') + outcome(results, unfinished)
    currentBuild.description = currentBuild.description ? "${currentBuild.description}; ${text}" : text
}

/** Returns the outcome. An unfinished stage without a failed result was aborted, or its question was declined. */
private String outcome(List results, String unfinished) {
    if (!results.every { it.ok }) {
        if (results[-1].exit_code == 6) {
            return containerAgent.say(': {command} overtaken by a later build', [command: results[-1].command])
        }
        return containerAgent.say(': {command} failed', [command: results[-1].command])
    }
    if (unfinished) {
        return containerAgent.say(': stopped in {stage}', [stage: unfinished])
    }
    int servers = results.collectMany { it.servers }.size()
    if (servers == 1) {
        return containerAgent.say(' → 1 server')
    }
    return servers ? containerAgent.say(' → {number} servers', [number: servers]) : ''
}
