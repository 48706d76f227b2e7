package host;

import groovy.lang.GroovyObjectSupport;
import java.io.Serializable;

/** {@code env}: reads the environment of the place where it is asked, writes for the whole build. */
public final class EnvVariable extends GroovyObjectSupport implements Serializable {
    @Override
    public Object getProperty(String name) {
        Build build = Build.current();
        return Steps.environment(build, build.context()).get(name);
    }

    @Override
    public void setProperty(String name, Object value) {
        Build.current().overrides().put(name, String.valueOf(value));
    }
}
