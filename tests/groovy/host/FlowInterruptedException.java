package org.jenkinsci.plugins.workflow.steps;

/** Thrown into a step that is stopped: by an abort, a timeout, or a refused input. */
public class FlowInterruptedException extends InterruptedException {
    public FlowInterruptedException(String cause) {
        super(cause);
    }

    public String getResult() {
        return "ABORTED";
    }
}
