/** See containerHold.txt. */
Map call(Map options = [:]) {
    containerAgent('containerHold', 'hold', options, [options.reason.toString()])
}
