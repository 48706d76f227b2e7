/** See containerDeploy.txt. */
Map call(Map options = [:]) {
    containerAgent('containerDeploy', 'deploy', options)
}
