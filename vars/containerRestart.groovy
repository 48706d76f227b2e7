/** See containerRestart.txt. */
Map call(Map options = [:]) {
    containerAgent('containerRestart', 'restart', options)
}
