/** See containerBuild.txt. */
Map call(Map options = [:]) {
    containerAgent('containerBuild', 'build', options)
}
