// Runs one Job DSL script as the plugin does, in the workspace that is named second (its folder `existing` holds what Jenkins has already), and tells what came of it: name, then the XML, both in Base64.
import javaposse.jobdsl.dsl.DslScriptLoader
import javaposse.jobdsl.dsl.MemoryJobManagement

def management = new MemoryJobManagement()
new File(args[1]).eachFile(groovy.io.FileType.FILES) { management.availableFiles[it.name] = it.getText('UTF-8') }
new File(args[1], 'existing').with { folder -> if (folder.directory) folder.eachFile { management.availableConfigs[it.name] = it.getText('UTF-8') } }
new DslScriptLoader(management).runScript(new File(args[0]).getText('UTF-8'))
def tell = { kind, name, xml -> println "$kind ${name.getBytes('UTF-8').encodeBase64()} ${xml.getBytes('UTF-8').encodeBase64()}" }
management.savedConfigs.each { name, xml -> tell('item', name, xml) }
management.savedViews.each { name, xml -> tell('view', name, xml) }
