package host;

import com.cloudbees.groovy.cps.Outcome;
import host.Program.Branch;
import host.Program.Context;
import hudson.AbortException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** The steps that have no body. Those that have one are in {@link Blocks}. */
final class Steps {
    /** Calls that only describe something for another step: {@code string(credentialsId: …)}. */
    static final Set<String> SYMBOLS = Set.of("string", "file", "usernamePassword", "sshUserPrivateKey", "booleanParam",
            "choice", "buildDiscarder", "logRotator", "disableConcurrentBuilds", "parameters",
            "pipelineTriggers", "cron");
    private static final Set<String> LEAVES = Set.of("echo", "error", "sh", "writeFile", "readFile", "fileExists", "pwd",
            "libraryResource", "archiveArtifacts", "checkout", "input", "isUnix", "deleteDir", "stash", "unstash", "unstable", "sleep",
            "library", "properties", "milestone");

    private Steps() { }

    static boolean known(String name) {
        return LEAVES.contains(name) || Blocks.NAMES.contains(name);
    }

    static Map<String, Object> symbol(String name, Object arguments) {
        Step step = new Step(name, arguments);
        Map<String, Object> described = new LinkedHashMap<>(Map.of("$class", name));
        described.putAll(step.named);
        if (step.value != null) {
            described.put("value", step.value);
        }
        return described;
    }

    /** @return the step's outcome; null where it is given later. */
    static Outcome start(Build build, Branch branch, Step step) throws Exception {
        if (Blocks.NAMES.contains(step.name)) {
            return Blocks.start(build, branch, step);
        }
        Context context = branch.stack.peek().context;
        switch (step.name) {
            case "sh":
                needsNode(context, "sh");
                Shell.start(build, branch.id, context, step);
                return null;
            case "sleep":
                sleep(build, branch.id, step);
                return null;
            case "input":
                return input(build, branch.id, step);
            default:
                return new Outcome(now(build, context, step), null);
        }
    }

    private static Object now(Build build, Context context, Step step) throws Exception {
        return switch (step.name) {
            case "echo" -> say(build, context, step.text("message"));
            case "error" -> throw new AbortException(step.text("message"));
            case "unstable" -> unstable(build, context, step.text("message"));
            case "library", "properties", "milestone" -> null;
            case "isUnix" -> true;
            case "pwd" -> folder(context, step.flag("tmp"));
            case "libraryResource" -> resource(build, step);
            case "fileExists" -> Files.exists(path(context, step.text("file")));
            case "readFile" -> decoded(Files.readAllBytes(path(context, step.text("file"))), (String) step.get("encoding"));
            case "writeFile" -> write(path(context, step.text("file")), step);
            case "deleteDir" -> Files2.delete(path(context, ".").normalize());
            case "stash" -> stash(build, context, step);
            case "unstash" -> unstash(build, context, step);
            case "checkout" -> checkout(build, context, step);
            case "archiveArtifacts" -> archive(build, context, step);
            default -> throw new IllegalStateException(step.name);
        };
    }

    static Map<String, String> environment(Build build, Context context) {
        Map<String, String> all = new LinkedHashMap<>();
        if (context.node() != null) {
            build.request.map("node").forEach((key, value) -> all.put(key, value.toString()));
            all.put("NODE_NAME", context.node());
            all.put("WORKSPACE", context.root());
            all.put("WORKSPACE_TMP", context.root() + "@tmp");
        }
        all.put("JOB_NAME", build.request.text("job"));
        all.put("BUILD_NUMBER", "1");
        all.put("BUILD_URL", "https://jenkins.example/job/" + build.request.text("job") + "/1/");
        build.request.map("environment").forEach((key, value) -> all.put(key, value.toString()));
        all.putAll(build.overrides());
        context.env().forEach((key, value) -> {
            all.put(key, value.replace("${" + key + "}", all.getOrDefault(key, "")));
        });
        return all;
    }

    static void needsNode(Context context, String step) {
        if (context.cwd() == null) {
            throw new IllegalStateException("Required context class hudson.FilePath is missing. Perhaps you forgot to "
                    + "surround the " + step + " step with a step that provides this, such as: node");
        }
    }

    static Object say(Build build, Context context, String text) {
        text.lines().forEach(line -> build.log.line(line, context.secrets()));
        return null;
    }

    private static Object unstable(Build build, Context context, String text) {
        build.run.worsen("UNSTABLE");
        return say(build, context, "WARNING: " + text);
    }

    private static String folder(Context context, boolean tmp) {
        needsNode(context, "pwd");
        return tmp ? context.cwd() + "@tmp" : context.cwd();
    }

    private static Path path(Context context, String name) {
        needsNode(context, "file");
        return Path.of(context.cwd()).resolve(name);
    }

    private static String decoded(byte[] bytes, String encoding) {
        return "Base64".equals(encoding) ? Base64.getEncoder().encodeToString(bytes) : new String(bytes, StandardCharsets.UTF_8);
    }

    private static Object write(Path file, Step step) throws IOException {
        String text = (String) step.get("text");
        Files.createDirectories(file.getParent());
        Files.write(file, "Base64".equals(step.get("encoding")) ? Base64.getDecoder().decode(text)
                : text.getBytes(StandardCharsets.UTF_8));
        return null;
    }

    private static String resource(Build build, Step step) throws IOException {
        for (String root : build.request.list("resources")) {
            Path file = Path.of(root).resolve(step.text("resource"));
            if (Files.isRegularFile(file)) {
                return decoded(Files.readAllBytes(file), (String) step.get("encoding"));
            }
        }
        throw new AbortException("No such library resource " + step.text("resource") + " could be found.");
    }

    private static Object checkout(Build build, Context context, Step step) throws IOException {
        needsNode(context, "checkout");
        Files2.copy(Path.of(build.request.text("scm")), Path.of(context.cwd()));
        build.log.line("Checked out " + build.request.text("scm"));
        return new LinkedHashMap<>(Map.of("GIT_COMMIT", "0".repeat(40), "GIT_BRANCH", "main"));
    }

    private static Path stashes(Build build, Step step) {
        return Path.of(build.request.text("archive")).resolveSibling("stashes").resolve(step.text("name"));
    }

    private static Object stash(Build build, Context context, Step step) throws IOException {
        Path file = path(context, step.text("includes"));
        if (!Files.isRegularFile(file)) {
            throw new AbortException("No files included in stash '" + step.text("name") + "'");
        }
        Files.createDirectories(stashes(build, step));
        Files.copy(file, stashes(build, step).resolve(step.text("includes")));
        return null;
    }

    private static Object unstash(Build build, Context context, Step step) throws IOException {
        Path there = stashes(build, step);
        if (!Files.isDirectory(there)) {
            throw new AbortException("No such saved stash '" + step.text("name") + "'");
        }
        Files2.copy(there, path(context, "."));
        return null;
    }

    private static Object archive(Build build, Context context, Step step) throws IOException {
        Path here = path(context, ".").normalize();
        List<String> found = new ArrayList<>();
        for (String pattern : step.text("artifacts").split("\\s*,\\s*")) {
            PathMatcher matcher = FileSystems.getDefault().getPathMatcher("glob:" + pattern);
            try (var files = Files.walk(here)) {
                for (Path file : files.filter(Files::isRegularFile).filter(f -> matcher.matches(here.relativize(f))).toList()) {
                    Path copy = Path.of(build.request.text("archive")).resolve(here.relativize(file));
                    Files.createDirectories(copy.getParent());
                    Files.copy(file, copy, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
                    found.add(here.relativize(file).toString());
                }
            }
        }
        if (found.isEmpty() && !step.flag("allowEmptyArchive")) {
            throw new AbortException("No artifacts found that match the file pattern \"" + step.text("artifacts") + "\".");
        }
        build.archived.addAll(found);
        return null;
    }

    private static void sleep(Build build, int branchId, Step step) {
        Future<?>[] waiting = new Future<?>[1];
        Consumer<Outcome>[] done = new Consumer[1];
        done[0] = build.await(branchId, cause -> {
            waiting[0].cancel(false);
            done[0].accept(new Outcome(null, cause));
        });
        waiting[0] = Timers.in(step.number("time", 0), unit(step), () -> done[0].accept(new Outcome(null, null)));
    }

    static TimeUnit unit(Step step) {
        return step.get("unit") == null ? (step.name.equals("sleep") ? TimeUnit.SECONDS : TimeUnit.MINUTES)
                : TimeUnit.valueOf(step.get("unit").toString());
    }

    private static Outcome input(Build build, int branchId, Step step) {
        build.log.line(step.text("message"));
        String answer = build.request.text("input");
        // Jenkins takes no answer from somebody who may not give one; the question stands.
        String may = step.text("submitter");
        boolean refused = step.get("submitter") != null && !List.of(may.split(",")).contains(person(build));
        if ("wait".equals(answer) || refused) {
            Consumer<Outcome>[] done = new Consumer[1];
            done[0] = build.await(branchId, cause -> done[0].accept(new Outcome(null, cause)));
            return null;
        }
        if ("abort".equals(answer)) {
            return new Outcome(null, new FlowInterruptedException("Rejected by a person"));
        }
        // With one parameter, the step returns its value: here the choice that the request names, else the first one.
        if (step.get("parameters") instanceof List<?> parameters) {
            Map<?, ?> only = (Map<?, ?>) parameters.get(0);
            List<?> choices = (List<?>) only.get("choices");
            choices.forEach(choice -> build.log.line(only.get("name") + ": " + choice));
            String wanted = build.request.text("choose");
            return new Outcome(choices.stream().filter(choice -> wanted == null || choice.toString().startsWith(wanted)).findFirst().orElseThrow(), null);
        }
        // With submitterParameter alone, the step returns who answered.
        return new Outcome(step.get("submitterParameter") == null ? null : person(build), null);
    }

    private static String person(Build build) {
        String given = build.request.text("person");
        return given == null ? "ann" : given;
    }

    static void cleanUp(Build build) {
        Blocks.releaseAll(build);
    }
}
