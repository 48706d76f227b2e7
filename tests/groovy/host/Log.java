package host;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/** The build's console: masks the secrets that are bound where a line comes from, as Jenkins does. */
final class Log {
    private final Consumer<String> lines;
    private final Pattern abortAt;
    private final Runnable abort;
    private boolean aborted;

    Log(Consumer<String> lines, String abortAt, Runnable abort) {
        this.lines = lines;
        this.abortAt = abortAt == null ? null : Pattern.compile(abortAt);
        this.abort = abort;
    }

    void line(String text) {
        line(text, List.of());
    }

    synchronized void line(String text, List<String> secrets) {
        String masked = text;
        for (String secret : secrets.stream().sorted(Comparator.comparing(String::length).reversed()).toList()) {
            masked = masked.replace(secret, "****");
        }
        lines.accept(masked);
        if (abortAt != null && !aborted && abortAt.matcher(masked).find()) {
            aborted = true;
            abort.run();
        }
    }

    void trace(Throwable failure) {
        StringWriter text = new StringWriter();
        failure.printStackTrace(new PrintWriter(text));
        text.toString().lines().limit(8).forEach(this::line);
    }
}
