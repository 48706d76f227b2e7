/** See containerSeed.txt. */
Map call(Map options = [:]) {
    List words = [options.jobs ?: []].flatten()
    for (name in ['prune', 'adopt', 'yes']) {
        words += options[name] ? ["--${name}".toString()] : []
    }
    words += options.dryRun ? ['--dry-run'] : []
    containerAgent('containerSeed', 'seed', options, words)
}
