/** See containerRollback.txt. */
Map call(Map options = [:]) {
    containerAgent('containerRollback', 'rollback', options)
}
