package host;

import com.cloudbees.groovy.cps.CpsTransformer;
import com.cloudbees.groovy.cps.Env;
import com.cloudbees.groovy.cps.Envs;

/** What scripts are compiled and run under: nothing special, or Jenkins' sandbox where the lists for it are at hand. */
interface Rules {
    Rules FREE = new Rules() { };

    static Rules of(boolean sandbox) {
        return sandbox ? new Sandbox() : FREE;
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
