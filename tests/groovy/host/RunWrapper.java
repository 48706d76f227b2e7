package host;

import java.io.Serializable;
import java.util.List;

/** {@code currentBuild}. */
public final class RunWrapper implements Serializable {
    private static final List<String> ORDER = List.of("SUCCESS", "UNSTABLE", "FAILURE", "NOT_BUILT", "ABORTED");
    private String result;
    private String description;
    private String displayName;

    public String getResult() {
        return result;
    }

    public void setResult(String wanted) {
        worsen(wanted);
    }

    public String getCurrentResult() {
        return result == null ? "SUCCESS" : result;
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
        RunWrapper own = Build.current() == null ? this : Build.current().run;
        if (own.result == null || ORDER.indexOf(wanted) > ORDER.indexOf(own.result)) {
            own.result = wanted;
        }
    }

    private Object readResolve() {
        return Build.current().run;
    }
}
