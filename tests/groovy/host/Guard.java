package host;

import groovy.lang.Closure;
import groovy.lang.GString;
import groovy.lang.GroovyObject;
import groovy.lang.MetaClassImpl;
import groovy.lang.MetaMethod;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.codehaus.groovy.reflection.CachedMethod;
import org.codehaus.groovy.runtime.DateGroovyMethods;
import org.codehaus.groovy.runtime.DefaultGroovyMethods;
import org.codehaus.groovy.runtime.DefaultGroovyStaticMethods;
import org.codehaus.groovy.runtime.EncodingGroovyMethods;
import org.codehaus.groovy.runtime.IOGroovyMethods;
import org.codehaus.groovy.runtime.InvokerHelper;
import org.codehaus.groovy.runtime.ProcessGroovyMethods;
import org.codehaus.groovy.runtime.ResourceGroovyMethods;
import org.codehaus.groovy.runtime.ScriptBytecodeAdapter;
import org.codehaus.groovy.runtime.StringGroovyMethods;
import org.kohsuke.groovy.sandbox.GroovyInterceptor;

/**
 * Looks up each call, property, element and constructor of a sandboxed script in {@link Lists}: by the signature of the
 * method that Groovy picks for it, and of those that this overrides. What is refused is a problem of the run, caught or not.
 */
final class Guard extends GroovyInterceptor {
    private static final List<Class<?>> EXTENSIONS = List.of(DefaultGroovyMethods.class, StringGroovyMethods.class,
            DateGroovyMethods.class, EncodingGroovyMethods.class, IOGroovyMethods.class, ProcessGroovyMethods.class,
            ResourceGroovyMethods.class);
    private static final Map<Class<?>, Class<?>> BOXES = Map.of(int.class, Integer.class, long.class, Long.class,
            boolean.class, Boolean.class, char.class, Character.class, double.class, Double.class, byte.class, Byte.class,
            float.class, Float.class, short.class, Short.class);
    private static final Object[] NONE = {};
    private static final Set<String> OPERATORS = Set.of("plus", "minus", "multiply", "div", "mod", "negative", "next",
            "previous", "compareTo");
    // Reflection makes new copies with each question, and a build has thousands of them.
    private static final ClassValue<Map<String, List<Method>>> PUBLIC = by(type -> byName(type.getMethods()));
    private static final ClassValue<Map<String, List<Method>>> DECLARED = by(type -> byName(type.getDeclaredMethods()));
    private static final ClassValue<Set<Class<?>>> ANCESTORS = by(Guard::ancestors);
    private static final ClassValue<Map<List<Object>, Boolean>> DECIDED = by(type -> new ConcurrentHashMap<>());
    private final Build build;

    Guard(Build build) {
        this.build = build;
    }

    @Override
    public Object onMethodCall(Invoker invoker, Object receiver, String name, Object... arguments) throws Throwable {
        if (!callable(receiver, name, arguments)) {
            throw refused("method", receiver.getClass(), name, arguments);
        }
        return super.onMethodCall(invoker, receiver, name, arguments);
    }

    @Override
    public Object onStaticCall(Invoker invoker, Class receiver, String name, Object... arguments) throws Throwable {
        if (!callableStatically(receiver, name, arguments)) {
            throw refused("staticMethod", receiver, name, arguments);
        }
        return super.onStaticCall(invoker, receiver, name, arguments);
    }

    @Override
    public Object onNewInstance(Invoker invoker, Class receiver, Object... arguments) throws Throwable {
        if (!constructible(receiver, arguments)) {
            throw refused("new", receiver, "", arguments);
        }
        return super.onNewInstance(invoker, receiver, arguments);
    }

    @Override
    public void onSuperConstructor(Invoker invoker, Class receiver, Object... arguments) throws Throwable {
        if (!constructible(receiver, arguments)) {
            throw refused("new", receiver, "", arguments);
        }
        super.onSuperConstructor(invoker, receiver, arguments);
    }

    @Override
    public Object onSuperCall(Invoker invoker, Class sender, Object receiver, String name, Object... arguments) throws Throwable {
        if (!callable(receiver, name, arguments)) {
            throw refused("method", sender.getSuperclass(), name, arguments);
        }
        return super.onSuperCall(invoker, sender, receiver, name, arguments);
    }

    @Override
    public Object onGetProperty(Invoker invoker, Object receiver, String name) throws Throwable {
        boolean length = receiver != null && name.equals("length") && receiver.getClass().isArray();
        if (receiver != null && !length && !readable(receiver, name)) {
            throw refused("property", receiver.getClass(), name);
        }
        return super.onGetProperty(invoker, receiver, name);
    }

    @Override
    public Object onSetProperty(Invoker invoker, Object receiver, String name, Object value) throws Throwable {
        if (receiver != null && !writable(receiver, name, value)) {
            throw refused("set property", receiver.getClass(), name, value);
        }
        return super.onSetProperty(invoker, receiver, name, value);
    }

    @Override
    public Object onGetAttribute(Invoker invoker, Object receiver, String name) throws Throwable {
        if (!field(receiver.getClass(), name, "field")) {
            throw refused("field", receiver.getClass(), name);
        }
        return super.onGetAttribute(invoker, receiver, name);
    }

    @Override
    public Object onSetAttribute(Invoker invoker, Object receiver, String name, Object value) throws Throwable {
        if (!field(receiver.getClass(), name, "field")) {
            throw refused("field", receiver.getClass(), name);
        }
        return super.onSetAttribute(invoker, receiver, name, value);
    }

    @Override
    public Object onGetArray(Invoker invoker, Object receiver, Object index) throws Throwable {
        if (receiver != null && !element(receiver, index) && !callable(receiver, "getAt", index)) {
            throw refused("method", receiver.getClass(), "getAt", index);
        }
        return super.onGetArray(invoker, receiver, index);
    }

    @Override
    public Object onSetArray(Invoker invoker, Object receiver, Object index, Object value) throws Throwable {
        if (receiver != null && !element(receiver, index) && !callable(receiver, "putAt", index, value)) {
            throw refused("method", receiver.getClass(), "putAt", index, value);
        }
        return super.onSetArray(invoker, receiver, index, value);
    }

    private static boolean element(Object receiver, Object index) {
        return receiver.getClass().isArray() && index instanceof Integer;
    }

    /** Scripts, closures and classes of the build itself, and the host's own front for declarative pipelines. */
    private boolean own(Object receiver) {
        return build.scripts.owns(receiver instanceof Class<?> type ? type : receiver.getClass()) || receiver instanceof Recorder;
    }

    /** Names and types alone decide: what a class has been asked once holds for every build. */
    private static boolean decided(Class<?> type, String kind, String name, Object[] arguments, BooleanSupplier decide) {
        Object[] asked = new Object[arguments.length + 2];
        asked[0] = kind;
        asked[1] = name;
        for (int at = 0; at < arguments.length; at++) {
            asked[at + 2] = arguments[at] == null ? null : arguments[at].getClass();
        }
        Map<List<Object>, Boolean> known = DECIDED.get(type);
        Boolean before = known.get(Arrays.asList(asked));
        if (before == null) {
            before = decide.getAsBoolean();
            known.put(Arrays.asList(asked), before);
        }
        return before;
    }

    private boolean callable(Object receiver, String name, Object... arguments) {
        // Of a class, it matters which one it is.
        return receiver == null || (receiver instanceof Class ? mayCall(receiver, name, arguments)
                : decided(receiver.getClass(), "call", name, arguments, () -> mayCall(receiver, name, arguments)));
    }

    private boolean mayCall(Object receiver, String name, Object... arguments) {
        if (receiver instanceof Recorder || receiver instanceof Number && OPERATORS.contains(name)) {
            return true;
        }
        MetaMethod picked = metaClass(receiver.getClass()).pickMethod(name, types(arguments));
        if (picked == null) {
            // Groovy asks the object's own invokeMethod then: a step, or what a closure's owner has.
            return receiver instanceof Closure || own(receiver) || !(receiver instanceof GroovyObject);
        }
        Set<String> known = signatures(receiver.getClass(), picked);
        if (!(picked instanceof CachedMethod)) {
            known.addAll(extension(receiver, name, arguments));
        }
        return Lists.allow(known) || !Lists.refuse(known) && build.scripts.owns(picked.getDeclaringClass().getTheClass());
    }

    private boolean callableStatically(Class<?> receiver, String name, Object... arguments) {
        return receiver == ScriptBytecodeAdapter.class ? mayCallStatically(receiver, name, arguments)
                : decided(receiver, "static", name, arguments, () -> mayCallStatically(receiver, name, arguments));
    }

    private boolean mayCallStatically(Class<?> receiver, String name, Object... arguments) {
        MetaMethod picked = metaClass(receiver).retrieveStaticMethod(name, arguments);
        // So groovy-cps 1.31 makes a text with ${…} in it, and a range; newer ones do not.
        boolean literal = receiver == ScriptBytecodeAdapter.class && (name.equals("createRange") || name.equals("asType")
                && arguments[0] instanceof List && (arguments[1] == Object[].class || arguments[1] == String[].class));
        if (picked == null || literal) {
            return literal || own(receiver);
        }
        Set<String> known = picked instanceof CachedMethod ? signatures(receiver, picked)
                : Set.of("staticMethod " + DefaultGroovyStaticMethods.class.getName() + " " + name
                        + names(picked.getDeclaringClass().getTheClass()) + names(picked.getNativeParameterTypes()));
        return Lists.allow(known) || !Lists.refuse(known) && own(receiver);
    }

    /** Which of Groovy's own additions is meant: as in script-security, of the first class that has one that fits. */
    private static Set<String> extension(Object receiver, String name, Object... arguments) {
        Object[] all = Stream.concat(Stream.of(receiver), Stream.of(arguments)).toArray();
        return EXTENSIONS.stream()
                .map(type -> PUBLIC.get(type).getOrDefault(name, List.of()).stream().filter(each -> fits(each, all))
                        .reduce((one, other) -> nearer(other, one) ? other : one))
                .flatMap(Optional::stream).limit(1)
                .map(each -> "staticMethod " + each.getDeclaringClass().getName() + " " + name + names(each.getParameterTypes()))
                .collect(Collectors.toSet());
    }

    private static boolean nearer(Method one, Method other) {
        for (int at = 0; at < Math.min(one.getParameterCount(), other.getParameterCount()); at++) {
            Class<?> here = one.getParameterTypes()[at];
            Class<?> there = other.getParameterTypes()[at];
            if (here != there) {
                return BOXES.getOrDefault(there, there).isAssignableFrom(BOXES.getOrDefault(here, here));
            }
        }
        return false;
    }

    private boolean readable(Object receiver, String name) {
        return receiver instanceof Class ? mayRead(receiver, name)
                : decided(receiver.getClass(), "get", name, NONE, () -> mayRead(receiver, name));
    }

    private boolean mayRead(Object receiver, String name) {
        if (receiver instanceof Class<?> type && field(type, name, "staticField")) {
            return true;
        }
        for (String getter : List.of(accessor("get", name), accessor("is", name))) {
            MetaMethod picked = metaClass(receiver.getClass()).pickMethod(getter, new Class<?>[0]);
            if (picked != null && !(receiver instanceof Map)) {
                return callable(receiver, getter);
            }
        }
        return own(receiver) || receiver instanceof Closure || receiver instanceof Map || field(receiver.getClass(), name, "field")
                || receiver instanceof GroovyObject && callable(receiver, "getProperty", name);
    }

    private boolean writable(Object receiver, String name, Object value) {
        MetaMethod setter = metaClass(receiver.getClass()).pickMethod(accessor("set", name), types(value));
        if (setter != null) {
            return callable(receiver, accessor("set", name), value);
        }
        return own(receiver) || receiver instanceof Map || field(receiver.getClass(), name, "field")
                || receiver instanceof GroovyObject && callable(receiver, "setProperty", name, value);
    }

    private boolean constructible(Class<?> type, Object[] arguments) {
        // What compiled scripts make by themselves: their base class, and a text with ${…} in it.
        if (build.scripts.owns(type) || type == HostScript.class || type == org.codehaus.groovy.runtime.GStringImpl.class) {
            return true;
        }
        Set<String> known = Stream.of(type.getDeclaredConstructors()).filter(each -> fits(each, arguments))
                .map(each -> ("new " + type.getName() + names(each.getParameterTypes())).trim()).collect(Collectors.toSet());
        return Lists.allow(known);
    }

    private boolean field(Class<?> type, String name, String kind) {
        for (Class<?> each : ANCESTORS.get(type)) {
            for (Field field : each.getDeclaredFields()) {
                if (field.getName().equals(name)
                        && (build.scripts.owns(each) || Lists.allow(Set.of(kind + " " + each.getName() + " " + name)))) {
                    return true;
                }
            }
        }
        return false;
    }

    private static String accessor(String prefix, String name) {
        return name.isEmpty() ? prefix : prefix + Character.toUpperCase(name.charAt(0)) + name.substring(1);
    }

    private static MetaClassImpl metaClass(Class<?> type) {
        return (MetaClassImpl) InvokerHelper.getMetaClass(type);
    }

    private static Class<?>[] types(Object... arguments) {
        return Stream.of(arguments).map(each -> each == null ? null : each.getClass()).toArray(Class<?>[]::new);
    }

    /** The names by which the lists may know a method: its own, and those of the methods that it overrides. */
    private static Set<String> signatures(Class<?> receiver, MetaMethod picked) {
        Class<?>[] wanted = picked.getNativeParameterTypes();
        Class<?> declared = picked.getDeclaringClass().getTheClass();
        if (picked.isStatic()) {
            return Set.of("staticMethod " + Lists.name(declared) + " " + picked.getName() + names(wanted));
        }
        Set<String> all = new LinkedHashSet<>();
        for (Class<?> each : ANCESTORS.get(receiver)) {
            all.add("method " + Lists.name(each) + " " + picked.getName() + names(wanted));
            // Comparable's compareTo(Object) is String's compareTo(String).
            DECLARED.get(each).getOrDefault(picked.getName(), List.of()).stream().filter(method -> overridden(method, wanted))
                    .forEach(method -> all.add("method " + Lists.name(each) + " " + method.getName() + names(method.getParameterTypes())));
        }
        return all;
    }

    private static boolean overridden(Method method, Class<?>[] wanted) {
        Class<?>[] types = method.getParameterTypes();
        // script-security takes a text with ${…} in it for the String that it becomes: so a sum of two is allowed.
        return types.length == wanted.length && IntStream.range(0, types.length).allMatch(at -> types[at].isAssignableFrom(wanted[at])
                || types[at] == String.class && GString.class.isAssignableFrom(wanted[at]));
    }

    private static <T> ClassValue<T> by(Function<Class<?>, T> compute) {
        return new ClassValue<>() {
            @Override
            protected T computeValue(Class<?> type) {
                return compute.apply(type);
            }
        };
    }

    private static Map<String, List<Method>> byName(Method... methods) {
        return Stream.of(methods).collect(Collectors.groupingBy(Method::getName));
    }

    private static Set<Class<?>> ancestors(Class<?> type) {
        Set<Class<?>> all = new LinkedHashSet<>();
        for (Class<?> at = type; at != null; at = at.getSuperclass()) {
            all.add(at);
            for (Class<?> face : at.getInterfaces()) {
                all.addAll(ancestors(face));
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

    private static String names(Class<?>... types) {
        return Stream.of(types).map(type -> " " + Lists.name(type)).collect(Collectors.joining());
    }

    private SecurityException refused(String kind, Class<?> type, String name, Object... arguments) {
        String types = Stream.of(arguments).map(a -> a == null ? " null" : " " + a.getClass().getName()).collect(Collectors.joining());
        String sentence = "Scripts not permitted to use " + (kind + " " + Lists.name(type) + " " + name).trim() + types;
        build.problems.add(sentence);
        return new SecurityException(sentence);
    }
}
