/** See containerPush.txt. */
Map call(Map options = [:]) {
    containerAgent('containerPush', 'push', options, ['--latest'])
}
