package host;

import com.cloudbees.groovy.cps.Outcome;
import host.Program.Branch;
import host.Program.Context;
import hudson.AbortException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;

/** {@code withCredentials}: binds for real, masks in the log, and deletes its files when the block ends. */
final class Credentials {
    private static final Map<String, String> TYPES = Map.of("usernamePassword", "usernamePassword", "string", "string",
            "file", "file", "sshUserPrivateKey", "sshUserPrivateKey");

    private Credentials() { }

    @SuppressWarnings("unchecked")
    static Outcome bind(Build build, Branch branch, Context context, Step step) throws IOException {
        Map<String, String> variables = new LinkedHashMap<>();
        List<String> secrets = new ArrayList<>();
        ArrayList<String> files = new ArrayList<>();
        for (Object binding : (List<?>) step.main("bindings")) {
            one(build, context, (Map<String, Object>) binding, variables, secrets, files);
        }
        build.log.line("Masking supported pattern matches of " + String.join(" or ", variables.keySet()));
        return Blocks.enter(build, branch, context.with(variables, secrets), step, (same, outcome) -> {
            for (String file : files) {
                try {
                    Files2.delete(Path.of(file).getParent());
                } catch (IOException failure) {
                    throw new IllegalStateException(failure);
                }
            }
            return outcome;
        });
    }

    @SuppressWarnings("unchecked")
    private static void one(Build build, Context context, Map<String, Object> binding, Map<String, String> variables,
            List<String> secrets, List<String> files) throws IOException {
        String kind = (String) binding.get("$class");
        String id = String.valueOf(binding.get("credentialsId"));
        Map<String, Object> found = (Map<String, Object>) build.request.map("credentials").get(id);
        if (found == null) {
            throw new AbortException("Could not find credentials entry with ID '" + id + "'");
        }
        if (!TYPES.get(kind).equals(found.get("type"))) {
            throw new AbortException("Credentials '" + id + "' is of type '" + found.get("type") + "' where '" + kind + "' was expected");
        }
        switch (kind) {
            case "usernamePassword":
                set(variables, binding.get("usernameVariable"), (String) found.get("username"));
                set(variables, binding.get("passwordVariable"), (String) found.get("password"));
                secrets.add((String) found.get("username"));
                secrets.add((String) found.get("password"));
                break;
            case "string":
                set(variables, binding.get("variable"), (String) found.get("secret"));
                secrets.add((String) found.get("secret"));
                break;
            default:
                String variable = String.valueOf(binding.getOrDefault("variable", binding.get("keyFileVariable")));
                String file = file(context, (String) found.get("content"), (String) found.getOrDefault("name", "secret"));
                set(variables, variable, file);
                set(variables, binding.get("usernameVariable"), (String) found.get("username"));
                secrets.add(file);
                files.add(file);
        }
    }

    private static void set(Map<String, String> variables, Object name, String value) {
        if (name != null) {
            variables.put(name.toString(), value == null ? "" : value);
        }
    }

    private static String file(Context context, String content, String name) throws IOException {
        Steps.needsNode(context, "withCredentials");
        Path folder = Path.of(context.root() + "@tmp", "secretFiles", UUID.randomUUID().toString());
        Files.createDirectories(folder);
        Path file = folder.resolve(name);
        Files.writeString(file, content);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("r--------"));
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwx------"));
        return file.toString();
    }
}
