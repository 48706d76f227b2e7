package hudson;

/** What {@code error} and a failed {@code sh} throw, under the name that pipelines know. */
public class AbortException extends java.io.IOException {
    public AbortException(String message) {
        super(message);
    }
}
