import com.cloudbees.groovy.cps.NonCPS
import groovy.json.JsonOutput
import groovy.json.JsonSlurper

/*
 * What a Jenkinsfile says, checked and put into the form in which it crosses to the agent. No step is called here, so
 * all of it runs at once, outside of CPS.
 */

/** @return what is wrong with the options, in one sentence; null where nothing is. */
@NonCPS
String problem(Map options, Map keys) {
    if (keys.code?.required && !options.code) {
        return "no project code; write code: 'aglaia-web-re'"
    }
    for (entry in options) {
        String found = wrong(entry.key.toString(), entry.value, keys)
        if (found) {
            return found
        }
    }
    return null
}

@NonCPS
private String wrong(String name, Object value, Map keys) {
    Map key = keys[name]
    if (key == null) {
        return "unknown key '${name}'; ${nearest(name, keys.keySet())}".toString()
    }
    if (value == null) {
        return "${name} is null; leave it out instead".toString()
    }
    if (!fits(key.kind, value)) {
        return "${name} must be of kind ${key.kind}, not ${text(value)}".toString()
    }
    if (key.pattern && !(value.toString() ==~ key.pattern)) {
        return "'${value}' is not a project code; use small letters, digits and single dashes, such as aglaia-web-re".toString()
    }
    if (key.choices && !(value.toString() in key.choices)) {
        return "${name} is '${value}'; ${nearest(value.toString(), key.choices)}".toString()
    }
    for (inner in (key.keys && value instanceof Map ? value.keySet() : [])) {
        if (!(inner in key.keys)) {
            return "unknown key '${inner}' in ${name}; ${nearest(inner.toString(), key.keys)}".toString()
        }
    }
    return null
}

@NonCPS
private boolean fits(String kind, Object value) {
    boolean text = value instanceof CharSequence
    switch (kind) {
        case 'text': return text
        case 'integer': return value instanceof Integer && value > 0
        case 'boolean': return value instanceof Boolean
        case 'text or boolean': return text || value instanceof Boolean
        case 'map': return value instanceof Map
        case 'text or map': return text || value instanceof Map
        default: return text || value instanceof List
    }
}

/** The known name with the fewest letters to change, or all of them. */
@NonCPS
private String nearest(String name, Collection known) {
    String best = null
    int least = 4
    for (each in known) {
        int steps = distance(name.toLowerCase(), each.toString().toLowerCase())
        if (steps < least) {
            least = steps
            best = each.toString()
        }
    }
    return best ? "did you mean '${best}'?".toString() : "known are: ${known.join(', ')}".toString()
}

/** Levenshtein's distance: letters to insert, delete or replace. */
@NonCPS
private int distance(String one, String other) {
    List row = (0..other.length()).toList()
    for (int i = 1; i <= one.length(); i++) {
        List next = [i]
        for (int j = 1; j <= other.length(); j++) {
            int replaced = row[j - 1] + (one[i - 1] == other[j - 1] ? 0 : 1)
            next << Math.min(Math.min(row[j] + 1, next[j - 1] + 1), replaced)
        }
        row = next
    }
    return row[other.length()]
}

/** JSON as plain maps and lists, which survive a restart of Jenkins (the parser's own do not). */
@NonCPS
Map read(String json) {
    plain(new JsonSlurper().parseText(json))
}

@NonCPS
private Object plain(Object value) {
    if (value instanceof Map) {
        Map copy = [:]
        for (entry in value) {
            copy[entry.key] = plain(entry.value)
        }
        return copy
    }
    if (value instanceof List) {
        List copy = []
        for (item in value) {
            copy << plain(item)
        }
        return copy
    }
    return value
}

/** A value as the agent reads it from a variable: lists and maps as JSON. */
@NonCPS
private String text(Object value) {
    if (value instanceof Map) {
        return JsonOutput.toJson(value)
    }
    if (value instanceof List) {
        return '[' + value.collect { it instanceof Map ? JsonOutput.toJson(it) : JsonOutput.toJson(it.toString()) }.join(',') + ']'
    }
    return value.toString()
}
