package host;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.Continuation;
import com.cloudbees.groovy.cps.ObjectInputStreamWithLoader;
import com.cloudbees.groovy.cps.Outcome;
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation;
import groovy.lang.Closure;
import groovy.lang.Script;
import host.Program.Branch;
import host.Program.Context;
import host.Program.Ending;
import host.Program.Frame;
import hudson.AbortException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.ObjectOutputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/**
 * One build: runs the program step by step on one thread, as Jenkins' CPS VM thread does, and writes the program to
 * bytes at every suspension, which alone finds state that would not survive a restart of Jenkins.
 */
final class Build {
    private static final ThreadLocal<Build> CURRENT = new ThreadLocal<>();

    final Request request;
    final Scripts scripts;
    private final Rules rules;
    final Log log;
    final List<Map<String, Object>> stages = new ArrayList<>();
    final List<String> archived = new ArrayList<>();
    final List<String> problems = new ArrayList<>();
    final List<String> calls = new ArrayList<>();
    final RunWrapper run = new RunWrapper();
    private final BlockingQueue<Runnable> events = new LinkedBlockingQueue<>();
    private final Map<Integer, Consumer<Throwable>> stoppers = new ConcurrentHashMap<>();
    private Program program = new Program();
    private int branchNow;
    private Outcome end;
    int suspensions;

    Build(Request request, Consumer<String> lines) {
        this.request = request;
        this.log = new Log(lines, request.text("abortAt"), this::abort);
        this.rules = Rules.of(request.flag("sandbox"));
        this.scripts = new Scripts(Path.of(request.text("vars")), rules, request.flag("trusted"));
    }

    static Build current() {
        return CURRENT.get();
    }

    Script global(String name) {
        return scripts.global(program.globals, name);
    }

    Context context() {
        return program.branches.get(branchNow).stack.peek().context;
    }

    Map<String, String> overrides() {
        return program.env;
    }

    /** The variables that Jenkins itself gives to every script. */
    Object property(String name) {
        return switch (name) {
            case "env" -> new EnvVariable();
            case "params" -> new LinkedHashMap<>(request.map("params"));
            case "currentBuild" -> run;
            case "scm" -> source();
            default -> null;
        };
    }

    private Map<String, Object> source() {
        if (request.text("scm") == null) {
            throw sneaky(new AbortException("\u2018checkout scm\u2019 is only available when using \u201cMultibranch Pipeline\u201d "
                    + "or \u201cPipeline script from SCM\u201d"));
        }
        return new LinkedHashMap<>(Map.of("$class", "scm"));
    }

    /** Groovy throws checked exceptions from anywhere, and scripts rely on it. */
    @SuppressWarnings("unchecked")
    private static <T extends Throwable> RuntimeException sneaky(Throwable failure) throws T {
        throw (T) failure;
    }

    /** @return how the build ended; the log and what it did are in this object's fields. */
    String run() {
        CURRENT.set(this);
        AutoCloseable sandbox = rules.install(this);
        try {
            refuseLinks();
            Context outside = new Context(null, null, null, Map.of(), List.of());
            Script main = scripts.jenkinsfile(request.text("script"));
            Branch first = program.branch(outside, new Continuable(main, rules.env()), null, null);
            post(() -> resume(first.id, new Outcome(null, null)));
            loop();
        } catch (Throwable failure) {
            end = new Outcome(null, failure);
        } finally {
            Steps.cleanUp(this);
            close(sandbox);
            CURRENT.remove();
        }
        return conclude();
    }

    /** As pipeline-groovy-lib does since May 2026, wherever in the library's repository the link is. */
    private void refuseLinks() throws AbortException {
        for (String link : request.list("links")) {
            throw new AbortException("Rejecting library: symlink found: " + link);
        }
    }

    private void loop() throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(request.number("limit", 120));
        while (end == null) {
            Runnable next = events.poll(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
            if (next == null) {
                problems.add("the build took longer than the host lets it");
                stoppers.values().forEach(stop -> stop.accept(new FlowInterruptedException("host's limit")));
                return;
            }
            next.run();
        }
    }

    private String conclude() {
        program.globals.forEach((name, script) -> {
            if (script != null && !script.getBinding().getVariables().isEmpty()) {
                problems.add("vars/" + name + ".groovy leaves globals behind: " + script.getBinding().getVariables().keySet());
            }
        });
        Throwable failure = end == null ? null : end.getAbnormal();
        if (failure instanceof FlowInterruptedException) {
            log.line(failure.getMessage());
            run.worsen("ABORTED");
        } else if (failure instanceof AbortException) {
            log.line("ERROR: " + failure.getMessage());
            run.worsen("FAILURE");
        } else if (failure != null) {
            log.trace(failure);
            run.worsen("FAILURE");
        }
        String result = run.getResult() == null ? "SUCCESS" : run.getResult();
        log.line("Finished: " + result);
        return result;
    }

    void post(Runnable event) {
        events.add(event);
    }

    void abort() {
        post(() -> new ArrayList<>(stoppers.values()).forEach(
                stop -> stop.accept(new FlowInterruptedException("Aborted by a person"))));
    }

    /** Stops whatever runs inside the block with that frame id, as {@code timeout} and {@code failFast} do. */
    void interrupt(int frameId, String cause) {
        for (Branch branch : new ArrayList<>(program.branches.values())) {
            if (inside(branch, frameId) && stoppers.containsKey(branch.id)) {
                stoppers.get(branch.id).accept(new FlowInterruptedException(cause));
            }
        }
    }

    boolean running(int frameId) {
        return program.branches.values().stream().anyMatch(b -> b.stack.stream().anyMatch(f -> f.id == frameId));
    }

    private boolean inside(Branch branch, int frameId) {
        for (Branch at = branch; at != null; at = at.parent == null ? null : program.branches.get(at.parent)) {
            if (at.stack.stream().anyMatch(frame -> frame.id == frameId)) {
                return true;
            }
        }
        return false;
    }

    /** Goes on with a branch until it waits for a step, or ends. */
    private void resume(int branchId, Outcome with) {
        Outcome in = with;
        while (in != null) {
            Branch branch = program.branches.get(branchId);
            Frame frame = branch.stack.peek();
            branchNow = branchId;
            Outcome out = Interpreter.run(this, frame.body, in);
            if (!frame.body.isResumable()) {
                in = leave(branch, frame, out);
            } else if (out.getNormal() instanceof Step step) {
                program.called = step;
                in = keep() ? carryOut(branchId, program.called) : null;
            } else {
                throw new IllegalStateException("The program yielded " + out);
            }
        }
    }

    private Outcome carryOut(int branchId, Step step) {
        calls.add(step.name);
        try {
            return Steps.start(this, program.branches.get(branchId), step);
        } catch (Throwable failure) {
            return new Outcome(null, failure);
        }
    }

    private Outcome leave(Branch branch, Frame frame, Outcome out) {
        Outcome after = out;
        if (frame.ending != null) {
            try {
                after = frame.ending.end(this, out);
            } catch (RuntimeException failure) {
                after = new Outcome(null, failure);
            }
            if (after == null) {
                frame.body = body(frame.step.body);
                return new Outcome(null, null);
            }
        }
        branch.stack.pop();
        if (!branch.stack.isEmpty()) {
            return after;
        }
        program.branches.remove(branch.id);
        if (branch.parent == null) {
            end = after;
        } else {
            join(program.branches.get(branch.parent), branch, after);
        }
        return null;
    }

    private void join(Branch parent, Branch child, Outcome outcome) {
        parent.waitingFor.remove(child.id);
        parent.results.put(child.name, outcome.getNormal());
        if (outcome.isFailure() && parent.failure == null) {
            parent.failure = outcome.getAbnormal();
        }
        if (parent.waitingFor.isEmpty()) {
            Outcome all = new Outcome(new LinkedHashMap<>(parent.results), parent.failure);
            Outcome joined = parent.failure == null ? all : new Outcome(null, parent.failure);
            parent.results.clear();
            parent.failure = null;
            post(() -> resume(parent.id, joined));
        }
    }

    void enter(Branch branch, Context context, Step step, Ending ending) {
        branch.stack.push(new Frame(program.nextId++, context, body(step.body), step, ending));
    }

    void fork(Branch parent, Map<String, Closure<?>> bodies) {
        bodies.forEach((name, closure) -> {
            Branch child = program.branch(parent.stack.peek().context, body(closure), parent.id, name);
            parent.waitingFor.add(child.id);
            post(() -> resume(child.id, new Outcome(null, null)));
        });
    }

    /** Says how to stop the step that a branch now waits for, and gives what the step calls when it is done. */
    Consumer<Outcome> await(int branchId, Consumer<Throwable> stop) {
        stoppers.put(branchId, stop);
        return outcome -> {
            stoppers.remove(branchId);
            post(() -> resume(branchId, outcome));
        };
    }

    private Continuable body(Closure<?> closure) {
        try {
            Object value = closure.call();
            return new Continuable(new com.cloudbees.groovy.cps.Next(rules.env(), Continuation.HALT, new Outcome(value, null)));
        } catch (CpsCallableInvocation called) {
            return new Continuable(called.invoke(rules.env(), null, Continuation.HALT));
        }
    }

    /** Writes the program as Jenkins would now; where asked for, goes on with what was read back. */
    private boolean keep() {
        suspensions++;
        try {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
                out.writeObject(program);
            }
            if (request.flag("restart")) {
                var in = new ObjectInputStreamWithLoader(new ByteArrayInputStream(bytes.toByteArray()), scripts.loader());
                program = (Program) in.readObject();
            }
            return true;
        } catch (Exception unserialisable) {
            problems.add("state that does not survive a suspension: " + unserialisable);
            end = new Outcome(null, unserialisable);
            return false;
        }
    }

    private static void close(AutoCloseable sandbox) {
        try {
            sandbox.close();
        } catch (Exception failure) {
            throw new IllegalStateException(failure);
        }
    }
}
