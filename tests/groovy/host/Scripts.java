package host;

import com.cloudbees.groovy.cps.CpsTransformer;
import com.cloudbees.groovy.cps.NonCPS;
import com.cloudbees.groovy.cps.TransformerConfiguration;
import groovy.lang.Binding;
import groovy.lang.GroovyClassLoader;
import groovy.lang.GroovyCodeSource;
import groovy.lang.Script;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.codehaus.groovy.control.CompilerConfiguration;
import org.codehaus.groovy.control.customizers.ImportCustomizer;
import org.codehaus.groovy.runtime.InvokerHelper;

/**
 * Compiles the Jenkinsfile for one build, in a class loader that no other build sees, and the library once for all builds
 * that have the same files of it.
 */
final class Scripts {
    private static final Map<String, Library> LIBRARIES = new ConcurrentHashMap<>();
    private final Library library;
    private final GroovyClassLoader own;

    Scripts(Path vars, Rules rules, boolean trustLibrary) {
        Map<String, String> texts = texts(vars);
        String key = rules.getClass().getName() + trustLibrary + texts;
        library = LIBRARIES.computeIfAbsent(key, absent -> new Library(texts, rules, trustLibrary));
        own = new GroovyClassLoader(library.loader, configuration(rules.transformer()));
    }

    private static Map<String, String> texts(Path vars) {
        Map<String, String> found = new TreeMap<>();
        try (var files = Files.list(vars)) {
            for (Path file : files.filter(each -> each.toString().endsWith(".groovy")).toList()) {
                found.put(file.getFileName().toString().replace(".groovy", ""), Files.readString(file));
            }
            return found;
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
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
        return own;
    }

    boolean owns(Class<?> type) {
        return type.getClassLoader() instanceof GroovyClassLoader.InnerLoader;
    }

    Script jenkinsfile(String text) {
        return made(parse(own, text, "WorkflowScript"));
    }

    Script evaluated(String text) {
        return made(parse(own, text, "Script1"));
    }

    /** The library's (or the host's own declarative) global variable of that name; null where there is none. */
    Script global(Map<String, Script> known, String name) {
        if (!known.containsKey(name)) {
            known.put(name, library.type(name).map(Scripts::made).orElse(null));
        }
        return known.get(name);
    }

    private static Class<?> parse(GroovyClassLoader loader, String text, String name) {
        return loader.parseClass(new GroovyCodeSource(text, name + ".groovy", "/groovy/shell"), false);
    }

    private static Script made(Class<?> type) {
        return InvokerHelper.createScript(type, new Binding());
    }

    /** The compiled classes of a library: of the untrusted ones the trusted see nothing, as in Jenkins. */
    private static final class Library {
        private final Map<String, String> texts;
        private final GroovyClassLoader trusted;
        private final GroovyClassLoader loader;
        private final boolean trust;
        private final Map<String, Optional<Class<?>>> types = new ConcurrentHashMap<>();

        Library(Map<String, String> texts, Rules rules, boolean trust) {
            this.texts = texts;
            this.trust = trust;
            trusted = new GroovyClassLoader(Scripts.class.getClassLoader(), configuration(new CpsTransformer()));
            loader = new GroovyClassLoader(trusted, configuration(rules.transformer()));
        }

        Optional<Class<?>> type(String name) {
            return types.computeIfAbsent(name, this::compiled);
        }

        private Optional<Class<?>> compiled(String name) {
            if (texts.containsKey(name)) {
                return Optional.of(parse(trust ? trusted : loader, texts.get(name), name));
            }
            if (!name.equals("pipeline")) {
                return Optional.empty();
            }
            try (var text = Scripts.class.getResourceAsStream("/Declarative.groovy")) {
                return Optional.of(parse(trusted, new String(text.readAllBytes(), StandardCharsets.UTF_8), name));
            } catch (IOException failure) {
                throw new UncheckedIOException(failure);
            }
        }
    }
}
