package host;

import groovy.lang.Closure;
import groovy.lang.GString;
import groovy.lang.Script;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.codehaus.groovy.runtime.DateGroovyMethods;
import org.codehaus.groovy.runtime.DefaultGroovyMethods;
import org.codehaus.groovy.runtime.DefaultGroovyStaticMethods;
import org.codehaus.groovy.runtime.EncodingGroovyMethods;
import org.codehaus.groovy.runtime.IOGroovyMethods;
import org.codehaus.groovy.runtime.ProcessGroovyMethods;
import org.codehaus.groovy.runtime.ResourceGroovyMethods;
import org.codehaus.groovy.runtime.StringGroovyMethods;
import org.kohsuke.groovy.sandbox.GroovyInterceptor;

/** Looks each call of a sandboxed script up in the lists; what is refused is also a problem of the run, caught or not. */
final class Guard extends GroovyInterceptor {
    private static final List<Class<?>> EXTENSIONS = List.of(DefaultGroovyMethods.class, StringGroovyMethods.class,
            DateGroovyMethods.class, EncodingGroovyMethods.class, IOGroovyMethods.class, ProcessGroovyMethods.class,
            ResourceGroovyMethods.class);
    private static final Map<Class<?>, Class<?>> BOXES = Map.of(int.class, Integer.class, long.class, Long.class,
            boolean.class, Boolean.class, char.class, Character.class, double.class, Double.class, byte.class, Byte.class,
            float.class, Float.class, short.class, Short.class);
    // What compiled scripts make by themselves: their base class, and a text with ${…} in it.
    private static final Set<Class<?>> ALWAYS = Set.of(HostScript.class, org.codehaus.groovy.runtime.GStringImpl.class);
    private final Build build;

    Guard(Build build) {
        this.build = build;
    }

    @Override
    public Object onMethodCall(Invoker invoker, Object receiver, String name, Object... arguments) throws Throwable {
        boolean free = own(receiver) || receiver instanceof Number && operator(name);
        if (!free && !instance(receiver, name, arguments)) {
            throw refused("method", receiver.getClass(), name, arguments);
        }
        return super.onMethodCall(invoker, receiver, name, arguments);
    }

    @Override
    public Object onStaticCall(Invoker invoker, Class receiver, String name, Object... arguments) throws Throwable {
        if (!build.scripts.owns(receiver) && !anyMethod(types(receiver), name, arguments, true)
                && !extended(DefaultGroovyStaticMethods.class, receiver, name, arguments)) {
            throw refused("staticMethod", receiver, name, arguments);
        }
        return super.onStaticCall(invoker, receiver, name, arguments);
    }

    @Override
    public Object onNewInstance(Invoker invoker, Class receiver, Object... arguments) throws Throwable {
        boolean listed = Stream.of(receiver.getDeclaredConstructors())
                .anyMatch(c -> fits(c, arguments) && Sandbox.allows(("new " + receiver.getName() + parameters(c)).trim()));
        if (!build.scripts.owns(receiver) && !ALWAYS.contains(receiver) && !listed) {
            throw refused("new", receiver, "", arguments);
        }
        return super.onNewInstance(invoker, receiver, arguments);
    }

    @Override
    public Object onGetProperty(Invoker invoker, Object receiver, String name) throws Throwable {
        if (!readable(receiver, name)) {
            throw refused("property", receiver.getClass(), name);
        }
        return super.onGetProperty(invoker, receiver, name);
    }

    @Override
    public Object onSetProperty(Invoker invoker, Object receiver, String name, Object value) throws Throwable {
        if (!own(receiver) && !(receiver instanceof Map) && !instance(receiver, accessor("set", name), value)) {
            throw refused("set property", receiver.getClass(), name);
        }
        return super.onSetProperty(invoker, receiver, name, value);
    }

    @Override
    public Object onGetAttribute(Invoker invoker, Object receiver, String name) throws Throwable {
        if (!own(receiver)) {
            throw refused("field", receiver.getClass(), name);
        }
        return super.onGetAttribute(invoker, receiver, name);
    }

    /** Scripts and classes of the build itself, closures, and what the host hands to a script (env, currentBuild). */
    private boolean own(Object receiver) {
        return receiver instanceof Script || receiver instanceof Closure || receiver != null
                && (build.scripts.owns(receiver.getClass()) || receiver instanceof Class<?> type && build.scripts.owns(type)
                || receiver.getClass().getPackageName().equals("host"));
    }

    private static boolean operator(String name) {
        return Set.of("plus", "minus", "multiply", "div", "mod", "negative", "next", "previous", "compareTo").contains(name);
    }

    private boolean readable(Object receiver, String name) {
        if (receiver == null || own(receiver) || receiver instanceof Map || name.equals("length") && receiver.getClass().isArray()) {
            return true;
        }
        if (receiver instanceof Class<?> type && field(type, name, "staticField")) {
            return true;
        }
        return instance(receiver, accessor("get", name)) || instance(receiver, accessor("is", name))
                || field(receiver.getClass(), name, "field");
    }

    private static boolean field(Class<?> type, String name, String kind) {
        for (Class<?> each : types(type)) {
            for (Field field : each.getDeclaredFields()) {
                if (field.getName().equals(name) && Sandbox.allows(kind + " " + each.getName() + " " + name)) {
                    return true;
                }
            }
        }
        return false;
    }

    private static String accessor(String prefix, String name) {
        return prefix + Character.toUpperCase(name.charAt(0)) + name.substring(1);
    }

    private static boolean instance(Object receiver, String name, Object... arguments) {
        if (receiver == null) {
            return true;
        }
        if (anyMethod(types(receiver.getClass()), name, arguments, false)) {
            return true;
        }
        return EXTENSIONS.stream().anyMatch(extension -> extended(extension, receiver, name, arguments));
    }

    private static boolean extended(Class<?> extension, Object receiver, String name, Object[] arguments) {
        Object[] all = new Object[arguments.length + 1];
        all[0] = receiver;
        System.arraycopy(arguments, 0, all, 1, arguments.length);
        return anyMethod(Set.of(extension), name, all, true);
    }

    private static boolean anyMethod(Set<Class<?>> types, String name, Object[] arguments, boolean isStatic) {
        String kind = isStatic ? "staticMethod " : "method ";
        for (Class<?> type : types) {
            for (Method method : type.getDeclaredMethods()) {
                if (method.getName().equals(name) && Modifier.isStatic(method.getModifiers()) == isStatic
                        && fits(method, arguments)
                        && Sandbox.allows(kind + type.getName() + " " + name + parameters(method))) {
                    return true;
                }
            }
        }
        return false;
    }

    private static Set<Class<?>> types(Class<?> type) {
        Set<Class<?>> all = new LinkedHashSet<>();
        for (Class<?> at = type; at != null; at = at.getSuperclass()) {
            all.add(at);
            for (Class<?> face : at.getInterfaces()) {
                all.addAll(types(face));
            }
        }
        all.add(Object.class);
        return all;
    }

    private static boolean fits(Executable call, Object[] arguments) {
        Class<?>[] wanted = call.getParameterTypes();
        if (call.isVarArgs() && arguments.length >= wanted.length - 1) {
            return true;
        }
        if (wanted.length != arguments.length) {
            return wanted.length == 1 && arguments.length == 0 && !wanted[0].isPrimitive();
        }
        for (int at = 0; at < wanted.length; at++) {
            Class<?> type = BOXES.getOrDefault(wanted[at], wanted[at]);
            Object given = arguments[at];
            boolean good = given == null ? !wanted[at].isPrimitive() : type.isInstance(given)
                    || type == String.class && given instanceof GString
                    || Number.class.isAssignableFrom(type) && given instanceof Number;
            if (!good) {
                return false;
            }
        }
        return true;
    }

    private static String parameters(Executable call) {
        return Stream.of(call.getParameterTypes()).map(type -> " " + (type.isArray() ? type.getCanonicalName() : type.getName()))
                .collect(Collectors.joining());
    }

    private SecurityException refused(String kind, Class<?> type, String name, Object... arguments) {
        String types = Stream.of(arguments).map(a -> a == null ? " null" : " " + a.getClass().getName()).collect(Collectors.joining());
        String sentence = "Scripts not permitted to use " + (kind + " " + type.getName() + " " + name).trim() + types;
        build.problems.add(sentence);
        return new SecurityException(sentence);
    }
}
