package host;

import com.cloudbees.groovy.cps.CpsTransformer;
import com.cloudbees.groovy.cps.Env;
import com.cloudbees.groovy.cps.Envs;
import com.cloudbees.groovy.cps.SandboxCpsTransformer;
import com.cloudbees.groovy.cps.sandbox.SandboxInvoker;
import org.codehaus.groovy.ast.MethodNode;
import org.kohsuke.groovy.sandbox.SandboxTransformer;

/** Jenkins' Groovy sandbox: the transformer, the invoker and the checker are the real ones; {@link Guard} decides. */
final class Sandbox implements Rules {
    @Override
    public CpsTransformer transformer() {
        try {
            SandboxTransformer.class.getMethod("forbidIfFinalizer", MethodNode.class);
            return new SandboxCpsTransformer();
        } catch (NoSuchMethodException old) {
            return older();
        }
    }

    /** By its name, as it compiles only against the pair for which it is. */
    private static CpsTransformer older() {
        try {
            return (CpsTransformer) Class.forName("host.OlderSandbox").getDeclaredConstructor().newInstance();
        } catch (ReflectiveOperationException failure) {
            throw new IllegalStateException("groovy-cps and groovy-sandbox do not fit each other; JENKINS_PARTS needs both", failure);
        }
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
