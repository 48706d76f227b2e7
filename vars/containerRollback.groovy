/** See containerRollback.txt. */
Map call(Map options = [:]) {
    containerAgent('containerRollback', 'rollback', options.version == 'ask' ? options + [version: ask(options)] : options)
}

/** Asks which of the releases that the servers keep is to run. The node that looked them up is free meanwhile. */
private String ask(Map options) {
    containerAgent.check('containerRollback', options)
    List environment = options.environment ? ['--environment', options.environment.toString()] : []
    Map kept = containerAgent.onNode(options) { containerAgent.attempt('history', options, environment) }
    // A server that is down does not keep the others from rolling back.
    List choices = kept.choices ?: containerAgent.insist(kept).choices
    if (!choices) {
        error(containerAgent.say('containerRollback: the servers of {code} keep no other release', [code: options.code]))
    }
    List labels = choices.collect { "${it.version} (${it.when}, ${it.by})".toString() }
    String question = containerAgent.say('Roll {code} back to which release?', [code: options.code])
    input(message: question, parameters: [choice(name: 'VERSION', choices: labels)]).tokenize(' ')[0]
}
