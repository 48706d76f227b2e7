/** See containerStatus.txt. */
Map call(Map options = [:]) {
    containerAgent('containerStatus', 'status', options)
}
