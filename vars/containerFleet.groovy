/** See containerFleet.txt. */
Map call(Map options = [:]) {
    containerAgent.check('containerFleet', options)
    List words = [options.jobs ?: []].flatten() + ['--html', 'container-pipeline-fleet.html']
    for (name in ['check', 'disk']) {
        words += options[name] ? ["--${name}".toString()] : []
    }
    containerAgent.onNode(options) {
        // Of the agent's settings these alone: its `check` is another one.
        Map settings = options.subMap(['servers', 'remoteRoot', 'sudo', 'atOnce', 'credentials'])
        Map result = containerAgent.attempt('fleet', settings, words)
        if (result.files) {
            archiveArtifacts(artifacts: result.files.join(','))
        }
        containerAgent.insist(result)
    }
}
