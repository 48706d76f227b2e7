package host;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.Outcome;
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation;
import groovy.lang.Closure;
import groovy.lang.Script;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;
import org.codehaus.groovy.runtime.GroovyCategorySupport;

/** Runs a continuation to its next suspension, with the categories that Jenkins uses and its check for mismatches. */
final class Interpreter {
    private static final List<Class> CATEGORIES = categories();

    private Interpreter() { }

    static Outcome run(Build build, Continuable program, Outcome in) {
        CpsCallableInvocation.registerMismatchHandler((expected, name, actual, called) -> {
            boolean variable = "call".equals(called) && actual instanceof Script && build.global(name) == actual;
            if (!variable) {
                build.problems.add("expected to call " + kind(expected) + "." + name + " but wound up catching "
                        + kind(actual) + "." + called);
            }
        });
        try {
            return (Outcome) GroovyCategorySupport.use(CATEGORIES, new Closure<Object>(null) {
                @Override
                public Object call() {
                    return run0(program, in);
                }
            });
        } finally {
            CpsCallableInvocation.registerMismatchHandler(null);
        }
    }

    private static String kind(Object receiver) {
        return receiver instanceof Class<?> type ? type.getName() : receiver == null ? "null" : receiver.getClass().getName();
    }

    /** Older interpreters, such as 1.31 of Maven Central, take the categories as a second argument. */
    private static Object run0(Continuable program, Outcome in) {
        try {
            for (Method method : Continuable.class.getMethods()) {
                if (method.getName().equals("run0")) {
                    return method.getParameterCount() == 1 ? method.invoke(program, in) : method.invoke(program, in, CATEGORIES);
                }
            }
            throw new IllegalStateException("this CPS interpreter has no run0");
        } catch (InvocationTargetException failure) {
            throw failure.getCause() instanceof RuntimeException own ? own : new IllegalStateException(failure.getCause());
        } catch (IllegalAccessException failure) {
            throw new IllegalStateException(failure);
        }
    }

    private static List<Class> categories() {
        List<Class> all = new ArrayList<>(Continuable.categories);
        try {
            all.add(Class.forName("org.jenkinsci.plugins.workflow.cps.persistence.IteratorHack"));
        } catch (ClassNotFoundException absent) {
            all.add(SerialIterators.class);
        }
        return all;
    }
}
