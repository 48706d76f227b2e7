import com.cloudbees.groovy.cps.NonCPS
import groovy.json.JsonOutput
import groovy.json.JsonSlurper

/*
 * Checks the options of a Jenkinsfile and converts them for the agent. No step is called here, so all of it runs
 * outside of CPS.
 */

/** @return the problem with the options, as one sentence in the user's language; null if there is none. */
@NonCPS
String problem(Map options, Map keys, Map words) {
    if (keys.code?.required && !options.code) {
        return sentence(words, "no project code; write code: 'aglaia-web-re'")
    }
    for (entry in keys) {
        if (entry.value.required && !options[entry.key]) {
            return sentence(words, '{name} is missing', [name: entry.key])
        }
    }
    for (entry in options) {
        String found = wrong(entry.key.toString(), entry.value, keys, words)
        if (found) {
            return found
        }
    }
    return null
}

/** Returns a message in the language of `words` (messages.zh.json), with its {named} values filled in. */
@NonCPS
String sentence(Map words, String text, Map values = [:]) {
    String said = words[text] ?: text
    for (entry in values) {
        said = said.replace("{${entry.key}}".toString(), entry.value.toString())
    }
    return said
}

@NonCPS
private String wrong(String name, Object value, Map keys, Map words) {
    if (keys[name] == null) {
        return sentence(words, "unknown key '{name}'; {hint}", [name: name, hint: nearest(name, keys.keySet(), words)])
    }
    return unfit(name, value, keys[name], words)
}

/** @return the problem with the value of a key, of which `key` describes what it accepts; null if there is none. */
@NonCPS
private String unfit(String name, Object value, Map key, Map words) {
    if (value == null) {
        return sentence(words, '{name} is null; remove it instead', [name: name])
    }
    if (!fits(key.kind, value)) {
        return sentence(words, '{name} must be of type {kind}, not {value}', [name: name, kind: key.kind, value: text(value)])
    }
    for (item in items(key.kind, value)) {
        if (key.pattern && !(item ==~ key.pattern)) {
            return against(key.rule, name, item, words)
        }
        if (key.rule == 'freeze' && unknownZone(item)) {
            return sentence(words, "{name}: there is no time zone in '{value}'; write a name of the time zone database, such as Asia/Shanghai",
                [name: name, value: item])
        }
        if (key.choices && !(item in key.choices)) {
            return sentence(words, "{name} is '{value}'; {hint}", [name: name, value: item, hint: nearest(item, key.choices, words)])
        }
    }
    for (inner in (key.keys && value instanceof Map ? value.keySet() : [])) {
        if (!(inner in key.keys)) {
            return sentence(words, "unknown key '{inner}' in {name}; {hint}",
                [inner: inner, name: name, hint: nearest(inner.toString(), key.keys, words)])
        }
        String found = key.of ? unfit("${name}.${inner}".toString(), value[inner], key.of[inner], words) : null
        if (found) {
            return found
        }
    }
    return null
}

/** @return the texts that a value consists of. */
@NonCPS
private List items(String kind, Object value) {
    if (value instanceof List) {
        return value.collect { it.toString() }
    }
    if (kind == 'freeze') {
        return value.toString().split(',').toList()
    }
    return kind == 'list' ? value.toString().split(/[,\s]+/).toList() : [value.toString()]
}

/** @return whether a window of time ends with a word that is no time zone. Java takes what it does not know for GMT. */
@NonCPS
private boolean unknownZone(String window) {
    String last = window.trim().tokenize(' ')[-1]
    String day = '(?i:mon|tue|wed|thu|fri|sat|sun)'
    if (!(last ==~ '[A-Za-z].*') || last ==~ "${day}(-${day})?".toString() || last == 'GMT') {
        return false
    }
    return TimeZone.getTimeZone(last) == TimeZone.getTimeZone('GMT')
}

/** @return the sentence about a text that does not match the pattern of a rule. */
@NonCPS
private String against(String rule, String name, String value, Map words) {
    switch (rule) {
        case 'freeze':
            return sentence(words, "{name}: '{value}' is not a window of time; write one such as 'Fri 18:00-Mon 08:00 Asia/Shanghai' or '2027-02-06..2027-02-14'",
                [name: name, value: value])
        case 'within':
            return sentence(words, "{name} cannot be '{value}'; write a number and s, m, h or d, such as 4h", [name: name, value: value])
        case 'mention':
            return sentence(words, "{name} cannot be '{value}'; write telephone numbers, or all; for Feishu and Slack ids of people, such as ou_1a2b3c",
                [name: name, value: value])
        default:
            return sentence(words, "'{value}' is not a project code; use small letters, digits and single dashes, such as aglaia-web-re", [value: value])
    }
}

@NonCPS
private boolean fits(String kind, Object value) {
    boolean text = value instanceof CharSequence
    switch (kind) {
        case 'text': return text
        case 'integer': return value instanceof Integer && value > 0
        case 'boolean': return value instanceof Boolean
        case 'attest': return text || value instanceof Boolean
        case 'approve': return text || value instanceof Boolean || value instanceof Map
        case 'map': return value instanceof Map
        case 'text or map': return text || value instanceof Map
        case 'program': return text || value instanceof List || value instanceof Map
        case 'command': return text || value instanceof List || value instanceof Map
        case 'check': return text || value instanceof Map
        case 'drain': return value instanceof Integer || value instanceof Map
        default: return text || value instanceof List
    }
}

/** Returns a hint with the nearest known name, or with all of them. */
@NonCPS
private String nearest(String name, Collection known, Map words) {
    String best = null
    int least = 4
    for (each in known) {
        String other = each.toString()
        // Names whose lengths differ that much are not near; to compare letters costs a second under Jenkins' sandbox.
        if (other.length() - name.length() < least && name.length() - other.length() < least) {
            int steps = distance(name.toLowerCase(), other.toLowerCase())
            if (steps < least) {
                least = steps
                best = other
            }
        }
    }
    return best ? sentence(words, "did you mean '{name}'?", [name: best])
        : sentence(words, 'use one of: {names}', [names: known.join(', ')])
}

/** Returns Levenshtein's distance: the number of letters to insert, delete or replace. */
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

/** Parses JSON into plain maps and lists, which survive a restart of Jenkins (the parser's own types do not). */
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

/** Returns a value in the form that the agent reads from a variable: lists and maps as JSON. */
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
