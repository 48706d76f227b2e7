/** See containerPipeline.txt. */
Map call(Map options = [:]) {
    containerAgent.check('containerPipeline', options)
    containerAgent.onNode(options) {
        List results = []
        List used = []
        String unfinished = ''
        String approver = ''
        try {
            for (step in stages(options, results)) {
                unfinished = step.name
                used.addAll(step.credentials)
                stage(step.name) {
                    if (step.question) {
                        approver = ask(step, options, results, used)
                    } else {
                        withEnv(["CONTAINER_PIPELINE_APPROVED_BY=${approver}"]) { carryOut(step, options, results) }
                    }
                }
                unfinished = ''
            }
        } finally {
            if (results || unfinished) {
                describe(results, options, unfinished)
            }
            if (results) {
                Map story = [results: results, unfinished: unfinished, failed_before: containerAgent.failedBefore()]
                containerAgent.report(story, options, used)
            }
        }
        summary(results)
    }
}

/** Returns the stages from the agent, because the project's settings are on the node; its refusal is the run's first result. */
private List stages(Map options, List results) {
    Map wishes = options.subMap(['promote', 'deploy', 'approve', 'environments', 'override'])
    Map answer = containerAgent.attempt('stages', options, ['--wishes', groovy.json.JsonOutput.toJson(wishes)])
    if (!answer.ok) {
        results << answer
    }
    containerAgent.insist(answer).stages
}

/** Asks before production, and tells the chat that a question stands; returns who answered it. */
private String ask(Map step, Map options, List results, List used) {
    if (containerAgent.tells(options)) {
        containerAgent.report([results: results, question: step.question], options, used)
    }
    Map question = [message: step.question, submitterParameter: 'approver'] + (step.by ? [submitter: step.by] : [:])
    if (!step.within) {
        return input(question)
    }
    timeout(time: step.within, unit: 'SECONDS') { input(question) }
}

private void carryOut(Map step, Map options, List results) {
    List version = results ? ['--version', results[0].version] : []
    Map own = step.environment ? options + [environment: step.environment] : options
    Map result = containerAgent.attempt(step.command, own, step.arguments + version, step.credentials)
    results << result
    containerAgent.insist(result)
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
