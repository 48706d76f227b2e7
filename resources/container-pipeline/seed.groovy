// Job DSL script: makes the jobs of a jobs file, the same as `container-pipeline seed` makes.
//
// It is the same for every jobs file, so that one approval lasts; `container-pipeline seed --job-dsl` writes the data that
// it reads. From a pipeline of one's own: jobDsl scriptText: libraryResource('container-pipeline/seed.groovy')
// Triggers are written as XML: `triggers { }` is deprecated for pipelines and knows no webhook.

def data = new groovy.json.JsonSlurper().parseText(readFileFromWorkspace('container-pipeline-jobs.json'))

// A folder that is there keeps all that it has (libraries, credentials, views): Job DSL would write it anew.
def existing = { name ->
    try {
        new XmlParser().parseText(jm.getConfig(name))
    } catch (javaposse.jobdsl.dsl.JobConfigurationNotFoundException none) {
        null
    }
}

def keep = { there ->
    return { root ->
        root.children().clear()
        root.attributes().putAll(there.attributes())
        there.children().each { root.append(it) }
    }
}

// Job management knows no views: Jenkins itself has them, at its root or in the folder where the view stands.
def existingView = { name ->
    def slash = name.lastIndexOf('/')
    def root = jenkins.model.Jenkins.get()
    def view = (slash < 0 ? root : root.getItemByFullName(name[0..<slash]))?.getView(name.substring(slash + 1))
    def xml = new ByteArrayOutputStream()
    view?.writeXml(xml)
    view ? new XmlParser().parseText(xml.toString('UTF-8')) : null
}

data.folders.each { wanted ->
    def there = existing(wanted.name)
    folder(wanted.name) {
        if (there == null) {
            description(wanted.description)
        } else {
            configure(keep(there))
        }
    }
    // A view that seed made, for this jobs file or another, bears its mark on the last line. Any other stays as it is.
    def view = existingView(wanted.name)
    def mark = view?.description?.text()?.trim()?.readLines()?.with { it ? it.last() : '' }
    def ours = mark ==~ /Seeded by container-pipeline \(.+\); change the jobs file, not this job\./
    if (view && !ours) {
        if (view.name() == 'hudson.model.ListView') {
            listView(wanted.name) { configure(keep(view)) }
        }
        return
    }
    listView(wanted.name) {
        description(ours ? view.description.text() : wanted.description)
        recurse(true)
        jobs { regex(wanted.regex) }
        columns {
            status()
            weather()
            name()
            lastSuccess()
            lastFailure()
            lastDuration()
            buildButton()
        }
    }
}

def addTriggers = { triggers, wanted ->
    if (wanted.cron) {
        triggers.appendNode('hudson.triggers.TimerTrigger').appendNode('spec', wanted.cron)
    }
    if (wanted.poll) {
        triggers.appendNode('hudson.triggers.SCMTrigger').appendNode('spec', wanted.poll)
    }
    if (wanted.webhook) {
        def trigger = triggers.appendNode('org.jenkinsci.plugins.gwt.GenericTrigger')
        ['spec', 'genericVariables', 'genericRequestVariables', 'genericHeaderVariables'].each { trigger.appendNode(it) }
        trigger.appendNode('tokenCredentialId', wanted.webhook)
    }
    if (wanted.scan) {
        def trigger = triggers.appendNode('com.cloudbees.hudson.plugins.folder.computed.PeriodicFolderTrigger')
        trigger.appendNode('spec', wanted.scan.spec)
        trigger.appendNode('interval', wanted.scan.interval)
    }
}

def common = { job, wanted ->
    job.description(wanted.description)
    job.disabled(wanted.disabled ?: false)
}

def builds = { job, wanted ->
    if (wanted.keepBuilds || wanted.keepDays) {
        job.logRotator {
            numToKeep(wanted.keepBuilds ?: -1)
            daysToKeep(wanted.keepDays ?: -1)
        }
    }
    wanted.parameters?.each { one ->
        def text = one.description ?: ''
        job.parameters {
            switch (one.type) {
                case 'boolean': booleanParam(one.name, one.default ?: false, text); break
                case 'choice': choiceParam(one.name, one.choices, text); break
                case 'text': textParam(one.name, "${one.default ?: ''}", text); break
                default: stringParam(one.name, one.default == null ? '' : "${one.default}", text)
            }
        }
    }
}

def repository = { context, wanted ->
    context.git {
        remote {
            url(wanted.repository)
            if (wanted.credentials) { credentials(wanted.credentials) }
        }
        wanted.branches.each { branch("*/${it}") }
    }
}

def makers = [
    pipeline: { wanted ->
        def job = pipelineJob(wanted.name) {
            definition {
                if (wanted.script) {
                    cps {
                        script(wanted.script)
                        sandbox(true)
                    }
                } else {
                    cpsScm {
                        scm { repository(delegate, wanted) }
                        scriptPath(wanted.jenkinsfile)
                        lightweight(true)
                    }
                }
            }
            if (wanted.cron || wanted.poll || wanted.webhook) {
                configure { root ->
                    def property = 'org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty'
                    addTriggers((root / 'properties').appendNode(property).appendNode('triggers'), wanted)
                }
            }
        }
        common(job, wanted)
        builds(job, wanted)
    },
    multibranch: { wanted ->
        def job = multibranchPipelineJob(wanted.name) {
            branchSources {
                git {
                    id(wanted.id)
                    remote(wanted.repository)
                    if (wanted.credentials) { credentialsId(wanted.credentials) }
                }
            }
            orphanedItemStrategy {
                discardOldItems {
                    numToKeep(wanted.keepBuilds ?: -1)
                    daysToKeep(wanted.keepDays ?: -1)
                }
            }
            configure { root ->
                def source = root / 'sources' / 'data' / 'jenkins.branch.BranchSource' / 'source'
                ['includes', 'excludes', 'ignoreOnPushNotifications'].each { old -> source.remove(source.get(old)) }
                def traits = source.appendNode('traits')
                traits.appendNode('jenkins.plugins.git.traits.BranchDiscoveryTrait')
                def filter = traits.appendNode('jenkins.scm.impl.trait.WildcardSCMHeadFilterTrait')
                filter.appendNode('includes', wanted.branches.join(' '))
                filter.appendNode('excludes', '')
                (root / 'factory').appendNode('scriptPath', wanted.jenkinsfile)
                addTriggers(root / 'triggers', wanted)
                root.appendNode('disabled', wanted.disabled ?: false)
            }
        }
        job.description(wanted.description)
    },
    freestyle: { wanted ->
        def job = freeStyleJob(wanted.name) {
            if (wanted.label) { label(wanted.label) }
            if (wanted.repository) {
                scm { repository(delegate, wanted) }
            }
            steps { shell(wanted.command) }
            configure { root -> addTriggers(root / 'triggers', wanted) }
        }
        common(job, wanted)
        builds(job, wanted)
    },
]

data.jobs.each { wanted -> makers[wanted.kind](wanted) }
