package jenkins.model

/** Jenkins' root and its folders, as far as the script asks them for views; a view's XML is a file, by its full name. */
class Jenkins {
    String place = ''

    static Jenkins get() { new Jenkins() }

    Jenkins getItemByFullName(String name) { name == 'gone' ? null : new Jenkins(place: name + '/') }

    def getView(String name) {
        def file = new File(System.getProperty('views'), (place + name).replace('/', '!'))
        file.exists() ? [writeXml: { out -> out << file.bytes }] : null
    }
}
