package host;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Ends a step's processes as Jenkins does on Unix: whoever has the step's cookie in its environment, children before
 * their parents, SIGTERM and a wait for each, five seconds for the whole tree, then SIGKILL.
 */
final class ProcessTree {
    private static final long PATIENCE_NANOS = 5_000_000_000L;

    private ProcessTree() { }

    static void end(String cookie) {
        Set<Long> seen = new HashSet<>();
        for (ProcessHandle process : ProcessHandle.allProcesses().toList()) {
            if (carries(process.pid(), cookie) && !seen.contains(process.pid())) {
                recursively(process, System.nanoTime() + PATIENCE_NANOS, seen);
            }
        }
    }

    private static boolean carries(long pid, String cookie) {
        try {
            String environment = Files.readString(Path.of("/proc/" + pid + "/environ"), StandardCharsets.ISO_8859_1);
            return List.of(environment.split("\0")).contains(cookie);
        } catch (IOException gone) {
            return false;
        }
    }

    private static void recursively(ProcessHandle process, long deadline, Set<Long> seen) {
        if (seen.add(process.pid())) {
            new ArrayList<>(process.children().toList()).forEach(child -> recursively(child, deadline, seen));
            end(process, deadline);
        }
    }

    private static void end(ProcessHandle process, long deadline) {
        process.destroy();
        try {
            for (long nap = 10; Files.exists(Path.of("/proc/" + process.pid() + "/status")); nap = Math.min(nap * 2, 1000)) {
                if (System.nanoTime() >= deadline) {
                    process.destroyForcibly();
                    return;
                }
                Thread.sleep(nap);
            }
        } catch (InterruptedException stop) {
            Thread.currentThread().interrupt();
        }
    }
}
