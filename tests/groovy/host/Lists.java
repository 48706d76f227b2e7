package host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/** What a sandboxed script may call: script-security's lists, and what plugins allow by an annotation in their code. */
final class Lists {
    private static final Path FOLDER = Path.of(System.getProperty("host.lists", ""));
    private static final Set<String> ALLOWED = read("generic-whitelist.txt", "jenkins-whitelist.txt");
    private static final Set<String> REFUSED = read("blacklist.txt");
    private static final String ENV = "org.jenkinsci.plugins.workflow.cps.EnvActionImpl ";
    private static final String RUN = "org.jenkinsci.plugins.workflow.support.steps.build.RunWrapper ";
    private static final String SCRIPT = "org.jenkinsci.plugins.workflow.cps.CpsScript ";
    private static final String CLOSURE = "org.jenkinsci.plugins.workflow.cps.CpsClosure2 ";
    /**
     * What the host has of CpsWhitelist (workflow-cps 4356, July 2026: the script and env) and of {@code @Whitelisted}
     * (workflow-support 1018: RunWrapper). ALLOWED in test_host.py has what a Jenkins with these answered.
     */
    private static final Set<String> ANNOTATED = Set.of(
            "method " + SCRIPT + "getProperty java.lang.String",
            "method " + SCRIPT + "invokeMethod java.lang.String java.lang.Object",
            "method " + SCRIPT + "println java.lang.Object", "method " + SCRIPT + "print java.lang.Object",
            "method " + SCRIPT + "println", "method " + SCRIPT + "printf java.lang.String java.lang.Object",
            "method " + SCRIPT + "evaluate java.lang.String", "method " + SCRIPT + "sleep long",
            "method " + SCRIPT + "getBinding",
            "method " + CLOSURE + "println java.lang.Object", "method " + CLOSURE + "print java.lang.Object",
            "method " + CLOSURE + "println", "method " + CLOSURE + "printf java.lang.String java.lang.Object",
            "method " + CLOSURE + "sleep long",
            "method " + ENV + "getProperty java.lang.String",
            "method " + ENV + "setProperty java.lang.String java.lang.Object",
            "method " + RUN + "getResult", "method " + RUN + "setResult java.lang.String",
            "method " + RUN + "getCurrentResult", "method " + RUN + "getNumber",
            "method " + RUN + "getDescription", "method " + RUN + "setDescription java.lang.String",
            "method " + RUN + "getPreviousBuild", "method " + RUN + "getDisplayName", "method " + RUN + "setDisplayName java.lang.String");

    private Lists() { }

    /** @return whether a call is allowed that is known by these signatures: a method's own and those that it overrides. */
    static boolean allow(Set<String> signatures) {
        return signatures.stream().anyMatch(ANNOTATED::contains)
                || !refuse(signatures) && signatures.stream().anyMatch(ALLOWED::contains);
    }

    /** @return whether the blacklist names one of them, which nothing but an annotation outweighs. */
    static boolean refuse(Set<String> signatures) {
        return signatures.stream().noneMatch(ANNOTATED::contains) && signatures.stream().anyMatch(REFUSED::contains);
    }

    /** The name that a class has in Jenkins; the host's own stand for these. */
    static String name(Class<?> type) {
        if (type == EnvVariable.class) {
            return ENV.trim();
        }
        return type == RunWrapper.class ? RUN.trim() : type == HostScript.class ? SCRIPT.trim()
                : type == HostClosure.class ? CLOSURE.trim() : type.isArray() ? type.getCanonicalName() : type.getName();
    }

    private static Set<String> read(String... names) {
        Set<String> found = new HashSet<>();
        for (String name : names) {
            // Without .txt they stand in script-security's own sources.
            Path file = FOLDER.resolve(name);
            Path there = Files.exists(file) ? file : FOLDER.resolve(name.replace(".txt", ""));
            try (var lines = Files.lines(there)) {
                lines.map(String::trim).filter(line -> !line.isEmpty() && !line.startsWith("#")).forEach(found::add);
            } catch (IOException missing) {
                throw new IllegalStateException("script-security's list " + name + " is missing in " + FOLDER, missing);
            }
        }
        return found;
    }
}
