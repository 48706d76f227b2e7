package host;

import java.io.Serializable;
import java.util.List;

/** {@code currentBuild}. */
public final class RunWrapper implements Serializable {
    private static final List<String> ORDER = List.of("SUCCESS", "UNSTABLE", "FAILURE", "NOT_BUILT", "ABORTED");
    private String result;
    private String description;
    private String displayName;
    private int back;

    public String getResult() {
        return result;
    }

    public void setResult(String wanted) {
        worsen(wanted);
    }

    public String getCurrentResult() {
        return result == null ? "SUCCESS" : result;
    }

    /** The build before this one: the request's {@code previous} has the results, the latest first; a running one has none. */
    public RunWrapper getPreviousBuild() {
        List<?> before = Build.current().request.list("previous");
        if (back >= before.size()) {
            return null;
        }
        RunWrapper build = new RunWrapper();
        build.back = back + 1;
        build.result = "RUNNING".equals(before.get(back)) ? null : before.get(back).toString();
        return build;
    }

    public String getDescription() {
        return description;
    }

    public void setDescription(String text) {
        Build.current().run.description = text;
        description = text;
    }

    public String getDisplayName() {
        return displayName;
    }

    public void setDisplayName(String text) {
        displayName = text;
    }

    public int getNumber() {
        return 1;
    }

    /** A build's result only ever gets worse. */
    void worsen(String wanted) {
        RunWrapper own = back > 0 || Build.current() == null ? this : Build.current().run;
        if (own.result == null || ORDER.indexOf(wanted) > ORDER.indexOf(own.result)) {
            own.result = wanted;
        }
    }

    private Object readResolve() {
        return back > 0 ? this : Build.current().run;
    }
}
