/** See containerResume.txt. */
Map call(Map options = [:]) {
    containerAgent('containerResume', 'resume', options)
}
