/** See containerPromote.txt. */
Map call(Map options = [:]) {
    containerAgent('containerPromote', 'promote', options)
}
