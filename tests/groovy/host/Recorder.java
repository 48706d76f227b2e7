package host;

import groovy.lang.GroovyObjectSupport;
import groovy.lang.MissingPropertyException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Delegate of a declarative section's closure: notes what it calls and assigns, for Declarative.groovy to carry out. */
public final class Recorder extends GroovyObjectSupport implements Serializable {
    public final List<List<Object>> calls = new ArrayList<>();
    public final Map<String, Object> assigned = new LinkedHashMap<>();

    @Override
    public Object invokeMethod(String name, Object arguments) {
        List<Object> call = new ArrayList<>(List.of(name));
        call.addAll(arguments instanceof Object[] all ? List.of(all) : List.of(arguments));
        calls.add(call);
        return null;
    }

    @Override
    public Object getProperty(String name) {
        if (List.of("any", "none").contains(name)) {
            return name;
        }
        if (List.of("calls", "assigned").contains(name)) {
            return name.equals("calls") ? calls : assigned;
        }
        if (assigned.containsKey(name)) {
            return assigned.get(name);
        }
        throw new MissingPropertyException(name, Recorder.class);
    }

    @Override
    public void setProperty(String name, Object value) {
        assigned.put(name, value);
    }
}
