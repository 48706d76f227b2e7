package host;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.SerializableScript;
import groovy.lang.MissingPropertyException;
import org.codehaus.groovy.runtime.DefaultGroovyMethods;
import org.codehaus.groovy.runtime.InvokerHelper;

/**
 * Base class of the Jenkinsfile and of every {@code vars/*.groovy}, as CpsScript is in Jenkins: a call that the script
 * does not define is first a global variable's {@code call}, then a step.
 */
public abstract class HostScript extends SerializableScript {
    @Override
    public Object invokeMethod(String name, Object arguments) {
        Build build = Build.current();
        Object global = build.global(name);
        if (global != null) {
            return InvokerHelper.invokeMethod(global, "call", arguments);
        }
        if (Steps.SYMBOLS.contains(name)) {
            return Steps.symbol(name, arguments);
        }
        if (!Steps.known(name)) {
            throw new NoSuchMethodError("No such DSL method '" + name + "' found among the steps this host has");
        }
        return Continuable.suspend(name, new Step(name, arguments));
    }

    /** Compiled and run as the Jenkinsfile is. */
    @Override
    public Object evaluate(String text) {
        return Build.current().scripts.evaluated(text).run();
    }

    public Object sleep(long seconds) {
        return invokeMethod("sleep", seconds);
    }

    @Override
    public void println() {
        println("");
    }

    @Override
    public void print(Object value) {
        println(value);
    }

    @Override
    public void println(Object value) {
        Build build = Build.current();
        Steps.say(build, build.context(), String.valueOf(value));
    }

    @Override
    public void printf(String format, Object value) {
        println(DefaultGroovyMethods.sprintf(this, format, value));
    }

    @Override
    public void printf(String format, Object[] values) {
        println(DefaultGroovyMethods.sprintf(this, format, values));
    }

    @Override
    public Object getProperty(String property) {
        Object global = Build.current().property(property);
        if (global != null) {
            return global;
        }
        try {
            return super.getProperty(property);
        } catch (MissingPropertyException missing) {
            Object variable = Build.current().global(property);
            if (variable == null) {
                throw missing;
            }
            return variable;
        }
    }
}
