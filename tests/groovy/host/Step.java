package host;

import groovy.lang.Closure;
import groovy.lang.GString;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** One call of a step, as it crosses from the interpreter to the host. */
final class Step implements Serializable {
    final String name;
    final Map<String, Object> named = new LinkedHashMap<>();
    Object value;
    Closure<?> body;

    Step(String name, Object arguments) {
        this.name = name;
        Object[] all = arguments instanceof Object[] a ? a : arguments == null ? new Object[0] : new Object[] {arguments};
        for (Object argument : all) {
            if (argument instanceof Closure<?> closure) {
                body = closure;
            } else if (argument instanceof Map<?, ?> map && !map.containsKey("$class") && value == null) {
                map.forEach((key, entry) -> named.put(key.toString(), plain(entry)));
            } else if (value == null) {
                value = plain(argument);
            } else {
                throw new IllegalArgumentException("Expected named arguments but got " + name + java.util.Arrays.toString(all));
            }
        }
    }

    /** Named argument, else the step's only positional one where {@code key} is the step's default parameter. */
    Object get(String key) {
        return named.containsKey(key) ? named.get(key) : null;
    }

    Object main(String key) {
        return named.containsKey(key) ? named.get(key) : value;
    }

    String text(String key) {
        Object found = main(key);
        return found == null ? null : found.toString();
    }

    boolean flag(String key) {
        return Boolean.TRUE.equals(named.get(key));
    }

    long number(String key, long otherwise) {
        return main(key) instanceof Number n ? n.longValue() : otherwise;
    }

    private static Object plain(Object value) {
        if (value instanceof GString) {
            return value.toString();
        }
        if (value instanceof List<?> list) {
            List<Object> copy = new ArrayList<>();
            list.forEach(item -> copy.add(plain(item)));
            return copy;
        }
        return value;
    }
}
