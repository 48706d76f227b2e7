package host;

import com.cloudbees.groovy.cps.CpsTransformer;
import com.cloudbees.groovy.cps.Env;
import com.cloudbees.groovy.cps.Envs;

/** What scripts are compiled and run under: nothing special, or the sandbox where its parts are at hand. */
interface Rules {
    Rules FREE = new Rules() { };

    static Rules of(boolean sandbox) {
        try {
            return sandbox ? (Rules) Class.forName("host.Sandbox").getDeclaredConstructor().newInstance() : FREE;
        } catch (ReflectiveOperationException absent) {
            throw new IllegalStateException("this host was built without the sandbox", absent);
        }
    }

    default CpsTransformer transformer() {
        return new CpsTransformer();
    }

    default Env env() {
        return Envs.empty();
    }

    default AutoCloseable install(Build build) {
        return () -> { };
    }
}
