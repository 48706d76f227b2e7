package host;

import java.util.List;
import java.util.Map;

/** What the test asked for: see jenkins.py, which writes it. */
final class Request {
    private final Map<String, Object> fields;

    Request(Map<String, Object> fields) {
        this.fields = fields;
    }

    String text(String key) {
        return (String) fields.get(key);
    }

    boolean flag(String key) {
        return Boolean.TRUE.equals(fields.get(key));
    }

    long number(String key, long otherwise) {
        return fields.get(key) instanceof Number n ? n.longValue() : otherwise;
    }

    @SuppressWarnings("unchecked")
    Map<String, Object> map(String key) {
        return (Map<String, Object>) fields.getOrDefault(key, Map.of());
    }

    @SuppressWarnings("unchecked")
    List<String> list(String key) {
        return (List<String>) fields.getOrDefault(key, List.of());
    }
}
