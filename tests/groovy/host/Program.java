package host;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.Outcome;
import groovy.lang.Script;
import java.io.Serializable;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** All that Jenkins would write to program.dat at a suspension, and nothing else. */
final class Program implements Serializable {
    final Map<String, Script> globals = new LinkedHashMap<>();
    final Map<String, String> env = new LinkedHashMap<>();
    final Map<Integer, Branch> branches = new LinkedHashMap<>();
    int nextId;
    // The step under way, with its body, belongs to what is written: else its closures would hold on to the old objects.
    Step called;

    Branch branch(Context context, Continuable body, Integer parent, String name) {
        Branch made = new Branch(nextId++, parent, name);
        made.stack.push(new Frame(nextId++, context, body, null, null));
        branches.put(made.id, made);
        return made;
    }

    /** One flow of control: the build's own, or a branch of {@code parallel}. */
    static final class Branch implements Serializable {
        final int id;
        final Integer parent;
        final String name;
        final Deque<Frame> stack = new ArrayDeque<>();
        final Set<Integer> waitingFor = new LinkedHashSet<>();
        final Map<String, Object> results = new LinkedHashMap<>();
        Throwable failure;

        Branch(int id, Integer parent, String name) {
            this.id = id;
            this.parent = parent;
            this.name = name;
        }
    }

    /** A block step that is under way: its body's continuation and what it means for the steps inside. */
    static final class Frame implements Serializable {
        final int id;
        final Context context;
        final Step step;
        final Ending ending;
        Continuable body;

        Frame(int id, Context context, Continuable body, Step step, Ending ending) {
            this.id = id;
            this.context = context;
            this.body = body;
            this.step = step;
            this.ending = ending;
        }
    }

    /** What a block step makes of its body's outcome; null means: run the body once more. */
    interface Ending extends Serializable {
        Outcome end(Build build, Outcome outcome);
    }

    /** What the enclosing block steps give to the steps inside. */
    record Context(String node, String root, String cwd, Map<String, String> env, List<String> secrets)
            implements Serializable {
        Context at(String folder) {
            return new Context(node, root, folder, env, secrets);
        }

        Context on(String name, String workspace) {
            return new Context(name, workspace, workspace, env, secrets);
        }

        Context with(Map<String, String> more, List<String> masked) {
            Map<String, String> all = new LinkedHashMap<>(env);
            more.forEach((key, value) -> {
                // Jenkins' own notation: PATH+ANYTHING puts a folder in front.
                String name = key.split("\\+", 2)[0];
                all.put(name, key.contains("+") ? value + ":" + all.getOrDefault(name, "${" + name + "}") : value);
            });
            List<String> secret = new ArrayList<>(secrets);
            masked.stream().filter(s -> !s.isEmpty()).forEach(secret::add);
            return new Context(node, root, cwd, all, secret);
        }
    }
}
