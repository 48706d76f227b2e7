// Evaluates a script as Jenkins' script console does. In the place of Jenkins' items stands a folder of configurations:
// a file is a job, a folder with a config.xml is a folder.
def loader = new GroovyClassLoader()
def job = loader.parseClass('package hudson.model; class Job { String fullName; File file; Map getConfigFile() { [file: file] } }')
def folder = loader.parseClass('package com.cloudbees.hudson.plugins.folder; class Folder extends hudson.model.Job { List items }')
def hudson = loader.parseClass('package hudson.model; class Hudson { static Hudson instance = new Hudson(); List items }')
def read
read = { File place, String above ->
    place.listFiles().findAll { it.name != 'config.xml' }.collect {
        def name = above + it.name
        it.directory
            ? folder.newInstance(fullName: name, file: new File(it, 'config.xml'), items: read(it, name + '/'))
            : job.newInstance(fullName: name, file: it)
    }
}
hudson.instance.items = read(new File(args[0]), '')
new GroovyShell(loader).evaluate(new File(args[1]).getText('UTF-8'))
