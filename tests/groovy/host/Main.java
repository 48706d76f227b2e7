package host;

import groovy.json.JsonOutput;
import groovy.json.JsonSlurperClassic;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Serves builds over stdin and stdout, one JSON object a line, so that one warm JVM runs many of them. */
public final class Main {
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private static final Map<String, Build> RUNNING = new ConcurrentHashMap<>();

    private Main() { }

    @SuppressWarnings("unchecked")
    public static void main(String[] arguments) throws Exception {
        // stdout is the protocol's: whatever a script prints by itself goes elsewhere.
        System.setOut(System.err);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Request request = new Request((Map<String, Object>) new JsonSlurperClassic().parseText(line));
            String id = request.text("id");
            if (request.flag("abort")) {
                RUNNING.get(id).abort();
            } else {
                new Thread(() -> serve(id, request), "build " + id).start();
            }
        }
        System.exit(0);
    }

    private static void serve(String id, Request request) {
        Map<String, Object> end = new LinkedHashMap<>();
        try {
            Build build = new Build(request, text -> say(id, Map.of("line", text)));
            RUNNING.put(id, build);
            end.put("result", build.run());
            end.put("description", build.run.getDescription());
            end.put("stages", build.stages);
            end.put("archived", build.archived);
            end.put("problems", build.problems);
            end.put("calls", build.calls);
            end.put("suspensions", build.suspensions);
        } catch (Throwable failure) {
            failure.printStackTrace();
            end.put("crash", failure.toString());
        }
        RUNNING.remove(id);
        say(id, Map.of("end", end));
    }

    private static synchronized void say(String id, Map<String, Object> event) {
        Map<String, Object> message = new LinkedHashMap<>(event);
        message.put("id", id);
        OUT.println(JsonOutput.toJson(message));
    }
}
