package host;

import com.cloudbees.groovy.cps.CpsTransformer;
import com.cloudbees.groovy.cps.Env;
import com.cloudbees.groovy.cps.Envs;
import com.cloudbees.groovy.cps.SandboxCpsTransformer;
import com.cloudbees.groovy.cps.sandbox.SandboxInvoker;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/**
 * Jenkins' Groovy sandbox: the transformer and checker are the real ones, the lists of what a script may call are
 * script-security's own. Without them (see parts.py) nothing here is used.
 */
public final class Sandbox implements Rules {
    private static final Set<String> ALLOWED = lists(System.getProperty("host.lists", ""));

    private static Set<String> lists(String files) {
        Set<String> allowed = new HashSet<>();
        for (String file : files.split(File.pathSeparator)) {
            try (var lines = Files.lines(Path.of(file))) {
                lines.filter(line -> !line.isBlank() && !line.startsWith("#")).map(String::trim).forEach(allowed::add);
            } catch (IOException missing) {
                throw new IllegalStateException("a list of script-security is missing", missing);
            }
        }
        return allowed;
    }

    static boolean allows(String signature) {
        return ALLOWED.contains(signature);
    }

    @Override
    public CpsTransformer transformer() {
        return new SandboxCpsTransformer();
    }

    @Override
    public Env env() {
        return Envs.empty(new SandboxInvoker());
    }

    @Override
    public AutoCloseable install(Build build) {
        Guard guard = new Guard(build);
        guard.register();
        return guard::unregister;
    }
}
