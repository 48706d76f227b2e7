"""Commands that only the Jenkins library calls."""
