/** See containerLogs.txt. */
Map call(Map options = [:]) {
    containerAgent('containerLogs', 'logs', options)
}
