package host;

import com.cloudbees.groovy.cps.CpsTransformer;
import com.cloudbees.groovy.cps.NonCPS;
import com.cloudbees.groovy.cps.TransformerConfiguration;
import groovy.lang.Binding;
import groovy.lang.GroovyClassLoader;
import groovy.lang.GroovyCodeSource;
import groovy.lang.Script;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.codehaus.groovy.control.CompilerConfiguration;
import org.codehaus.groovy.control.customizers.ImportCustomizer;
import org.codehaus.groovy.runtime.InvokerHelper;

/** Compiles the Jenkinsfile and the library for one build, in class loaders that no other build sees. */
final class Scripts {
    private final GroovyClassLoader untrusted;
    private final GroovyClassLoader trusted;
    private final Path vars;
    private final boolean trustLibrary;

    Scripts(Path vars, Rules rules, boolean trustLibrary) {
        this.vars = vars;
        this.trustLibrary = trustLibrary;
        trusted = new GroovyClassLoader(Scripts.class.getClassLoader(), configuration(new CpsTransformer()));
        untrusted = new GroovyClassLoader(trusted, configuration(rules.transformer()));
    }

    private static CompilerConfiguration configuration(CpsTransformer cps) {
        CompilerConfiguration configuration = new CompilerConfiguration();
        ImportCustomizer imports = new ImportCustomizer();
        imports.addStarImports(NonCPS.class.getPackage().getName(), "org.jenkinsci.plugins.workflow.libs");
        cps.setConfiguration(new TransformerConfiguration().withClosureType(HostClosure.class));
        configuration.addCompilationCustomizers(imports, cps);
        configuration.setScriptBaseClass(HostScript.class.getName());
        return configuration;
    }

    ClassLoader loader() {
        return untrusted;
    }

    boolean owns(Class<?> type) {
        return type.getClassLoader() instanceof GroovyClassLoader.InnerLoader;
    }

    Script jenkinsfile(String text) {
        return make(untrusted, text, "WorkflowScript");
    }

    Script evaluated(String text) {
        return make(untrusted, text, "Script1");
    }

    /** The library's (or the host's own declarative) global variable of that name; null where there is none. */
    Script global(Map<String, Script> made, String name) {
        if (!made.containsKey(name)) {
            made.put(name, load(name));
        }
        return made.get(name);
    }

    private Script load(String name) {
        try {
            Path file = vars.resolve(name + ".groovy");
            if (name.matches("\\w+") && Files.isRegularFile(file)) {
                return make(trustLibrary ? trusted : untrusted, Files.readString(file), name);
            }
            if (name.equals("pipeline")) {
                try (var text = Scripts.class.getResourceAsStream("/Declarative.groovy")) {
                    return make(trusted, new String(text.readAllBytes(), "UTF-8"), name);
                }
            }
            return null;
        } catch (IOException failure) {
            throw new IllegalStateException(failure);
        }
    }

    private static Script make(GroovyClassLoader loader, String text, String name) {
        Class<?> type = loader.parseClass(new GroovyCodeSource(text, name + ".groovy", "/groovy/shell"), false);
        return InvokerHelper.createScript(type, new Binding());
    }
}
