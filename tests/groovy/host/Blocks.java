package host;

import com.cloudbees.groovy.cps.Outcome;
import groovy.lang.Closure;
import host.Program.Branch;
import host.Program.Context;
import host.Program.Ending;
import hudson.AbortException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** The steps that have a body: each changes the context of what runs inside, and may change its outcome. */
final class Blocks {
    static final Set<String> NAMES = Set.of("node", "stage", "dir", "ws", "withEnv", "withCredentials", "timeout", "retry",
            "catchError", "warnError", "parallel", "timestamps", "script", "ansiColor");
    private static final Map<String, Build> WORKSPACES = new ConcurrentHashMap<>();
    private static final Outcome BEGIN = new Outcome(null, null);

    private Blocks() { }

    static Outcome start(Build build, Branch branch, Step step) throws Exception {
        Context context = branch.stack.peek().context;
        switch (step.name) {
            case "parallel":
                return parallel(build, branch, step);
            case "node":
                return node(build, branch, context, step);
            case "stage":
                return stage(build, branch, context, step);
            case "dir", "ws":
                Steps.needsNode(context, step.name);
                String folder = Path.of(context.cwd()).resolve(step.text("path")).normalize().toString();
                Files.createDirectories(Path.of(folder));
                return enter(build, branch, context.at(folder), step, null);
            case "withEnv":
                return enter(build, branch, context.with(variables(step), List.of()), step, null);
            case "withCredentials":
                return Credentials.bind(build, branch, context, step);
            case "timeout":
                return timeout(build, branch, context, step);
            case "retry":
                return enter(build, branch, context, step, retry(new int[] {(int) step.number("count", 1)}));
            case "catchError", "warnError":
                return enter(build, branch, context, step, catchError(step));
            default:
                return enter(build, branch, context, step, null);
        }
    }

    static Outcome enter(Build build, Branch branch, Context context, Step step, Ending ending) {
        build.enter(branch, context, step, ending);
        return BEGIN;
    }

    private static Outcome node(Build build, Branch branch, Context context, Step step) throws IOException {
        String label = step.text("label") == null ? "" : step.text("label");
        if (!label.isEmpty() && !build.request.list("labels").contains(label)) {
            throw new AbortException("There are no nodes with the label '" + label + "'");
        }
        String workspace = allocate(build);
        Files.createDirectories(Path.of(workspace));
        build.log.line("Running on " + (label.isEmpty() ? "node" : label) + " in " + workspace);
        return enter(build, branch, context.on(label.isEmpty() ? "node" : label, workspace), step, (same, outcome) -> {
            WORKSPACES.remove(workspace);
            return outcome;
        });
    }

    /** As Jenkins: a second build of the job on the node works in NAME@2. */
    private static String allocate(Build build) {
        String base = Path.of(build.request.text("home"), "workspace", build.request.text("job")).toString();
        for (int count = 1;; count++) {
            String name = count == 1 ? base : base + "@" + count;
            if (WORKSPACES.putIfAbsent(name, build) == null) {
                return name;
            }
        }
    }

    static void releaseAll(Build build) {
        WORKSPACES.values().removeIf(owner -> owner == build);
    }

    private static Outcome stage(Build build, Branch branch, Context context, Step step) {
        String name = step.text("name");
        Map<String, Object> record = new LinkedHashMap<>(Map.of("name", name, "status", "RUNNING"));
        int place = build.stages.size();
        build.stages.add(record);
        build.log.line("[Pipeline] { (" + name + ")");
        return enter(build, branch, context, step, (same, outcome) -> {
            same.stages.get(place).put("status", outcome.isSuccess() ? "SUCCESS"
                    : outcome.getAbnormal() instanceof FlowInterruptedException ? "ABORTED" : "FAILURE");
            return outcome;
        });
    }

    private static Map<String, String> variables(Step step) {
        Map<String, String> variables = new LinkedHashMap<>();
        for (Object pair : (List<?>) step.main("overrides")) {
            String[] parts = pair.toString().split("=", 2);
            if (parts.length != 2) {
                throw new IllegalArgumentException("withEnv wants NAME=value, not " + pair);
            }
            variables.put(parts[0], parts[1]);
        }
        return variables;
    }

    private static Outcome timeout(Build build, Branch branch, Context context, Step step) {
        build.enter(branch, context, step, null);
        int frame = branch.stack.peek().id;
        Timers.in(step.number("time", 0), Steps.unit(step), () -> build.post(() -> {
            if (build.running(frame)) {
                build.log.line("Cancelling nested steps due to timeout");
                build.interrupt(frame, "Timeout has been exceeded");
            }
        }));
        return BEGIN;
    }

    private static Ending retry(int[] left) {
        return (build, outcome) -> {
            boolean again = outcome.isFailure() && !(outcome.getAbnormal() instanceof FlowInterruptedException);
            if (!again || --left[0] <= 0) {
                return outcome;
            }
            build.log.line("ERROR: " + outcome.getAbnormal().getMessage());
            build.log.line("Retrying");
            return null;
        };
    }

    private static Ending catchError(Step step) {
        String otherwise = step.name.equals("warnError") ? "UNSTABLE" : "FAILURE";
        String result = step.get("buildResult") == null ? otherwise : step.get("buildResult").toString();
        boolean interruptions = !Boolean.FALSE.equals(step.get("catchInterruptions"));
        String message = step.text("message");
        return (build, outcome) -> {
            if (outcome.isSuccess() || outcome.getAbnormal() instanceof FlowInterruptedException && !interruptions) {
                return outcome;
            }
            boolean interrupted = outcome.getAbnormal() instanceof FlowInterruptedException;
            build.log.line((message == null ? "" : message + ": ") + "ERROR: " + outcome.getAbnormal().getMessage());
            build.run.worsen(interrupted ? "ABORTED" : result);
            return new Outcome(null, null);
        };
    }

    private static Outcome parallel(Build build, Branch branch, Step step) {
        Map<String, Closure<?>> bodies = new LinkedHashMap<>();
        step.named.forEach((name, body) -> {
            if (body instanceof Closure<?> closure) {
                bodies.put(name, closure);
            }
        });
        if (bodies.isEmpty()) {
            return new Outcome(new LinkedHashMap<>(), null);
        }
        build.fork(branch, bodies);
        return null;
    }
}
