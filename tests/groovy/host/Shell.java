package host;

import com.cloudbees.groovy.cps.Outcome;
import host.Program.Context;
import hudson.AbortException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;

/**
 * {@code sh} as Jenkins' durable task does it: a script file beside the workspace, run by its shebang or by
 * {@code sh -xe}, its output written to a file that is followed while it runs, its tree ended by {@link ProcessTree}.
 */
final class Shell {
    private static final long FOLLOW_MILLIS = 15;
    private final Build build;
    private final Context context;
    private final Step step;
    private final AtomicReference<Throwable> stopped = new AtomicReference<>();
    private final String cookie = "durable-" + UUID.randomUUID();

    private Shell(Build build, Context context, Step step) {
        this.build = build;
        this.context = context;
        this.step = step;
    }

    static void start(Build build, int branchId, Context context, Step step) {
        Map<String, String> environment = Steps.environment(build, context);
        Shell shell = new Shell(build, context, step);
        Consumer<Outcome> done = build.await(branchId, cause -> {
            if (shell.stopped.compareAndSet(null, cause)) {
                build.log.line("Sending interrupt signal to process");
                new Thread(() -> ProcessTree.end("JENKINS_SERVER_COOKIE=" + shell.cookie), "killer").start();
            }
        });
        new Thread(() -> done.accept(shell.run(environment)), "sh").start();
    }

    private Outcome run(Map<String, String> environment) {
        Path folder = Path.of(context.cwd() + "@tmp", cookie);
        try {
            // As Jenkins does, also after deleteDir.
            Files.createDirectories(Path.of(context.cwd()));
            Files.createDirectories(folder);
            return outcome(execute(folder, environment), folder);
        } catch (IOException | InterruptedException failure) {
            return new Outcome(null, failure);
        } finally {
            remove(folder);
        }
    }

    private int execute(Path folder, Map<String, String> environment) throws IOException, InterruptedException {
        String text = step.text("script");
        Path script = folder.resolve("script.sh");
        Files.writeString(script, text);
        script.toFile().setExecutable(true, false);
        ProcessBuilder command = new ProcessBuilder(
                text.startsWith("#!") ? List.of(script.toString()) : List.of("sh", "-xe", script.toString()));
        command.directory(Path.of(context.cwd()).toFile());
        command.environment().clear();
        command.environment().putAll(environment);
        command.environment().put("JENKINS_SERVER_COOKIE", cookie);
        command.redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()));
        Path log = folder.resolve("jenkins-log.txt");
        Path output = folder.resolve("output.txt");
        command.redirectError(log.toFile());
        command.redirectOutput(ProcessBuilder.Redirect.appendTo((step.flag("returnStdout") ? output : log).toFile()));
        if (!step.flag("returnStdout")) {
            command.redirectErrorStream(true);
        }
        Process process = command.start();
        follow(process, log);
        return process.waitFor();
    }

    private void follow(Process process, Path log) throws IOException, InterruptedException {
        while (!Files.exists(log)) {
            Thread.sleep(FOLLOW_MILLIS);
        }
        ByteArrayOutputStream rest = new ByteArrayOutputStream();
        try (RandomAccessFile file = new RandomAccessFile(log.toFile(), "r")) {
            boolean last = false;
            while (!last) {
                last = !process.isAlive();
                lines(file, rest);
                Thread.sleep(last ? 0 : FOLLOW_MILLIS);
            }
        }
        if (rest.size() > 0) {
            build.log.line(rest.toString(StandardCharsets.UTF_8), context.secrets());
        }
    }

    private void lines(RandomAccessFile file, ByteArrayOutputStream rest) throws IOException {
        byte[] chunk = new byte[8192];
        for (int count = file.read(chunk); count > 0; count = file.read(chunk)) {
            for (int at = 0; at < count; at++) {
                if (chunk[at] == '\n') {
                    build.log.line(rest.toString(StandardCharsets.UTF_8), context.secrets());
                    rest.reset();
                } else {
                    rest.write(chunk[at]);
                }
            }
        }
    }

    /** As Jenkins: a script that was stopped and yet exits 0 counts as done; a stopped one with another code does not. */
    private Outcome outcome(int code, Path folder) throws IOException {
        Throwable cause = stopped.get();
        if (code != 0 && cause != null) {
            build.log.line("script returned exit code " + code);
            return new Outcome(null, cause);
        }
        if (code != 0 && !step.flag("returnStatus")) {
            return new Outcome(null, new AbortException("script returned exit code " + code));
        }
        if (step.flag("returnStatus")) {
            return new Outcome(code, null);
        }
        Path output = folder.resolve("output.txt");
        return new Outcome(step.flag("returnStdout") ? Files.readString(output) : null, null);
    }

    private static void remove(Path folder) {
        try {
            Files2.delete(folder);
        } catch (IOException left) {
            throw new IllegalStateException(left);
        }
    }
}
